import { alignDown, alignUp } from '../alignment.js';
import type { AppendTarget } from '../appender/append-target.js';
import { operate } from '../operate.js';

/** Bytes that are read at once at least. */
const WINDOW_BYTES = 128 * 1024;

/** Reads a file through a block of arena memory: small reads that follow each other go to the device once. */
export class FileWindow implements Disposable {
  readonly #file: AppendTarget;
  #offset = -1;
  #capacity = 0;
  #start = 0;
  #length = 0;

  constructor(file: AppendTarget) {
    this.#file = file;
  }

  /** Forgets what was read: the file has changed. */
  invalidate(): void {
    this.#length = 0;
  }

  /**
   * The bytes from `position` on, at most `length`, fewer only at the end of the file. A view that is valid until
   * the next call.
   */
  async read(position: number, length: number): Promise<Buffer> {
    if (position < this.#start || position + length > this.#start + this.#length) {
      await this.#fill(position, length);
    }
    const { bytes } = this.#file.memory;
    const skip = position - this.#start;
    const count = Math.max(0, Math.min(length, this.#length - skip));
    return bytes.subarray(this.#offset + skip, this.#offset + skip + count);
  }

  async #fill(position: number, length: number): Promise<void> {
    const { pageBytes, memory, path } = this.#file;
    const start = alignDown(position, pageBytes);
    const capacity = alignUp(Math.max(WINDOW_BYTES, position + length - start), pageBytes);
    this.#length = 0;
    if (capacity > this.#capacity) {
      this[Symbol.dispose]();
      this.#offset = memory.allocateAligned(capacity, pageBytes);
      this.#capacity = capacity;
    }
    this.#start = start;
    this.#length = await operate('read', path, (done) =>
      this.#file.submitRead(done, start, this.#offset, this.#capacity),
    );
  }

  [Symbol.dispose](): void {
    if (this.#offset >= 0) this.#file.memory.free(this.#offset);
    this.#offset = -1;
    this.#capacity = 0;
    this.#length = 0;
  }
}
