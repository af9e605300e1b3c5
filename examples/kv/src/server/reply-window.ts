/** Replies that may be on their way at most, however small they are. */
const REPLIES_MAX = 1024;
/** Replies that may be on their way while nothing is known about their size. */
const FIRST_REPLIES = 16;
/** How fast large replies are forgotten. */
const DECAY = 0.9;

/**
 * How many replies of other shards one client may wait for at a time. Nobody knows how large they will be, so it goes
 * by those that came before: as many as are expected to fit into what may wait for the client.
 */
export class ReplyWindow {
  readonly #maxBytes: number;
  #expectedBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#expectedBytes = maxBytes / FIRST_REPLIES;
  }

  /** Replies that may be on their way; at least 1. */
  get size(): number {
    return Math.max(1, Math.min(REPLIES_MAX, Math.floor(this.#maxBytes / this.#expectedBytes)));
  }

  /** A reply has come. */
  arrived(sizeBytes: number): void {
    this.#expectedBytes = Math.max(sizeBytes, this.#expectedBytes * DECAY, 1);
  }
}
