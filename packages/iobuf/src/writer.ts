import { appendBytes, appendString } from './append.js';
import type { Chain } from './chain.js';
import type { ContentView } from './content-view.js';
import { checkInteger, disposedError, invalidArgumentError, modifiedError } from './errors.js';
import { FRAGMENT_SIZE_BYTES_MAX } from './growth.js';
import { NumberAppender } from './number-appender.js';
import { commit, isReserved, reserve } from './reserve.js';

/**
 * Appends many small fields to a buffer at the price of one comparison each: it reserves a chunk and writes
 * there. Made by `IOBuf.writer()`.
 *
 * What was written becomes content of the buffer with {@link flush}, or when the chunk is full. Between a write
 * and its flush change the buffer in no other way: that throws `SUNSTAR_IOBUF_MODIFIED` at the next use of the
 * writer, and what was not flushed is lost.
 */
export class Writer extends NumberAppender {
  readonly #buffer: ContentView;
  readonly #chain: Chain;
  readonly #chunkBytes: number;
  /** Where the chunk begins, or −1. */
  #start = -1;
  #at = 0;
  #limit = 0;
  /** The number of the chunk's reservation. */
  #number = 0;
  /** The size of the buffer when it was made. */
  #sizeBefore = 0;

  /** @internal Made by `IOBuf.writer()`. */
  constructor(buffer: ContentView, chain: Chain, chunkBytes: number) {
    super();
    this.#buffer = buffer;
    this.#chain = chain;
    this.#chunkBytes = chunkBytes;
  }

  /** How many bytes were written that are not content of the buffer yet. */
  get unflushedBytes(): number {
    return this.#start < 0 ? 0 : this.#at - this.#start;
  }

  /** Copies bytes, or a string as UTF-8. Flushes when they are longer than what is left of the chunk. */
  append(data: Uint8Array | string): this {
    if (typeof data === 'string') {
      // A UTF-16 code unit takes three bytes at most.
      if (this.#start >= 0 && data.length * 3 <= this.#limit - this.#at) {
        this.#check();
        this.#at += this.#chain.bytes.write(data, this.#at, 'utf8');
        return this;
      }
    } else if (data instanceof Uint8Array) {
      if (this.#start >= 0 && data.length <= this.#limit - this.#at) {
        this.#check();
        this.#chain.bytes.set(data, this.#at);
        this.#at += data.length;
        return this;
      }
    } else {
      throw invalidArgumentError('data', 'a Uint8Array or a string', data);
    }
    this.flush();
    if (typeof data === 'string') appendString(this.#chain, data);
    else appendBytes(this.#chain, data);
    return this;
  }

  /**
   * The arena offset of `sizeBytes` (1 to 131072) contiguous bytes, which count as written: fill them at once.
   */
  reserve(sizeBytes: number): number {
    checkInteger('sizeBytes', sizeBytes, 1, FRAGMENT_SIZE_BYTES_MAX);
    return this.claim(sizeBytes);
  }

  /** Makes everything that was written content of the buffer. */
  flush(): void {
    if (this.#buffer.isDisposed) throw disposedError(this.#buffer);
    if (this.#start < 0) return;
    this.#check();
    const written = this.#at - this.#start;
    this.#start = -1;
    this.#at = 0;
    this.#limit = 0;
    commit(this.#chain, written);
  }

  protected override claim(sizeBytes: number): number {
    const at = this.#at;
    if (at + sizeBytes > this.#limit || !this.#isUntouched()) {
      return this.#claimSlow(sizeBytes);
    }
    this.#at = at + sizeBytes;
    return at;
  }

  protected override arenaView(): DataView {
    return this.#chain.view;
  }

  protected override arenaBytes(): Buffer {
    return this.#chain.bytes;
  }

  #claimSlow(sizeBytes: number): number {
    this.flush();
    const chunkBytes = Math.max(sizeBytes, this.#chunkBytes);
    const at = reserve(this.#chain, chunkBytes);
    this.#start = at;
    this.#number = this.#chain.reservations;
    this.#sizeBefore = this.#chain.size;
    this.#at = at + sizeBytes;
    this.#limit = at + chunkBytes;
    return at;
  }

  #isUntouched(): boolean {
    const chain = this.#chain;
    return chain.size === this.#sizeBefore && isReserved(chain, this.#number, this.#start);
  }

  /** The reservation must still be the one that was made here. */
  #check(): void {
    if (this.#buffer.isDisposed) throw disposedError(this.#buffer);
    if (this.#start >= 0 && this.#isUntouched()) return;
    this.#start = -1;
    this.#at = 0;
    this.#limit = 0;
    throw modifiedError();
  }
}
