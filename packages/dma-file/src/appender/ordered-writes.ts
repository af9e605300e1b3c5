import type { IOBuf } from '@sunstar/iobuf';
import { inThisGroup } from '@sunstar/runtime';
import { tooManyWritesError } from '../errors.js';

/** Writes of one appender that may wait for room. */
const WAITING_MAX = 65536;

/** What takes bytes while it has room. */
export interface RoomyAppender {
  readonly hasRoom: boolean;
  append(data: Uint8Array | IOBuf): number;
  waitForRoom(): Promise<void>;
}

/** Appends that wait for room, in the order in which they were made. */
export class OrderedWrites {
  readonly #appender: RoomyAppender;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(appender: RoomyAppender) {
    this.#appender = appender;
  }

  /** Resolves with the file position after the data, when it was taken. */
  async write(data: Uint8Array | IOBuf): Promise<number> {
    // Without a turn of the microtasks: two calls in a row are in order.
    if (this.#waiting === 0 && this.#appender.hasRoom) return this.#appender.append(data);
    if (this.#waiting >= WAITING_MAX) {
      throw tooManyWritesError(WAITING_MAX);
    }
    this.#waiting++;
    const written = this.#last.then(() => this.#write(data)).finally(() => this.#waiting--);
    this.#last = written.catch(() => undefined);
    return inThisGroup(written);
  }

  async #write(data: Uint8Array | IOBuf): Promise<number> {
    while (!this.#appender.hasRoom) await this.#appender.waitForRoom();
    return this.#appender.append(data);
  }
}
