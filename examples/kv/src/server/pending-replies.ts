import type { ReplyReceiver } from './peer-link.js';
import type { PendingReply } from './reply-queue.js';

/** Is told that a reply that others wait behind is there. */
export interface PendingOwner {
  replyArrived(sizeBytes: number): void;
}

/** The reply of another shard to one command. */
export class RemoteReply implements PendingReply, ReplyReceiver {
  readonly #owner: PendingOwner;
  #bytes: Uint8Array | null = null;

  constructor(owner: PendingOwner) {
    this.#owner = owner;
  }

  receive(reply: Uint8Array): void {
    this.#bytes = reply;
    this.#owner.replyArrived(reply.length);
  }

  bytes(): Uint8Array | null {
    return this.#bytes;
  }

  /** That shard has its own log. */
  fail(): void {}
}

/** A reply that is held back for a time. */
export class DelayedReply implements PendingReply {
  readonly #bytes: Uint8Array;
  readonly #timer: NodeJS.Timeout;
  #isDue = false;

  constructor(bytes: Uint8Array, delayMs: number, due: () => void) {
    this.#bytes = bytes;
    this.#timer = setTimeout(() => {
      this.#isDue = true;
      due();
    }, delayMs);
  }

  bytes(): Uint8Array | null {
    return this.#isDue ? this.#bytes : null;
  }

  fail(): void {}

  cancel(): void {
    clearTimeout(this.#timer);
  }
}
