import { type Chain, locate } from './chain.js';
import { copyToBytes, decode, indexOf, type TextEncoding } from './content.js';
import { checkInteger, disposedError, modifiedError, underrunError } from './errors.js';
import type { Fragment } from './fragment.js';
import type { IOBuf } from './iobuf.js';
import { NumberReader } from './number-reader.js';
import { bytesOf, regionOf } from './region.js';

// A number that lies across fragments is put together here.
const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);

/**
 * Reads a buffer from front to back without consuming it. Made by `IOBuf.cursor()`; costs no object per
 * read, and {@link reset} makes one cursor serve a connection for its whole life.
 *
 * - Every read that needs more than remains throws `SUNSTAR_UNDERRUN` and does not move the cursor.
 * - Appending to the buffer while reading is fine: the new bytes can be read at once. After the front or
 *   the tail was moved in another way (trim, clear, take, prepend) reads throw `SUNSTAR_IOBUF_MODIFIED`
 *   until {@link reset}.
 * - The cursor holds no memory: after the buffer was disposed it throws `SUNSTAR_IOBUF_DISPOSED`.
 *
 * ```ts
 * const cursor = buffer.cursor();
 * while (cursor.remaining >= 4) {
 *   const start = cursor.position;
 *   const length = cursor.readU32BE();
 *   if (cursor.remaining < length) { cursor.seek(start); break; }
 *   handle(cursor.readString(length));
 * }
 * buffer.trimFront(cursor.position);
 * cursor.reset();
 * ```
 */
export class Cursor extends NumberReader {
  readonly #buffer: IOBuf;
  readonly #chain: Chain;
  #epoch: number;
  /** The memory of the fragment that is read. */
  #bytes: Buffer;
  protected override view: DataView;
  /** The fragment that is read; null only before the first byte of an empty buffer. */
  #fragment: Fragment | null = null;
  /** Offset of the next byte in that memory. */
  #at = 0;
  /** Offset behind the known part of the fragment: an append may have added more. */
  #end = 0;
  /** What makes an offset in this fragment a position in the content. */
  #bias = 0;

  /** @internal Made by `IOBuf.cursor()`. */
  constructor(buffer: IOBuf, chain: Chain) {
    super();
    this.#buffer = buffer;
    this.#chain = chain;
    this.#epoch = chain.epoch;
    this.#bytes = chain.bytes;
    this.view = chain.view;
    this.#enter(chain.head, 0);
  }

  /** How many bytes of the content lie in front of the cursor. */
  override get position(): number {
    return this.#at - this.#bias;
  }

  /** How many bytes can still be read. */
  get remaining(): number {
    this.#check();
    return this.#chain.size - this.position;
  }

  /** Starts again at the front of the buffer, as it is now. */
  reset(): void {
    if (this.#buffer.isDisposed) throw disposedError(this.#buffer);
    this.#epoch = this.#chain.epoch;
    this.#enter(this.#chain.head, 0);
  }

  /** Moves to a position from 0 to the size of the buffer. */
  seek(position: number): void {
    this.#check();
    checkInteger('position', position, 0, this.#chain.size);
    this.#moveTo(position);
  }

  /** Moves `sizeBytes` forward. */
  skip(sizeBytes: number): void {
    checkInteger('sizeBytes', sizeBytes, 0, Number.MAX_SAFE_INTEGER);
    this.#require(sizeBytes);
    this.#moveTo(this.position + sizeBytes);
  }

  /** The next byte, which stays the next byte. */
  peekU8(): number {
    const at = this.#at;
    if (at < this.#end && this.#chain.epoch === this.#epoch && this.#bytes.length !== 0)
      return this.#bytes[at];
    this.#require(1);
    this.#nextFragmentIfAtEnd();
    return this.#bytes[this.#at];
  }

  /** Reads an unsigned byte. */
  override readU8(): number {
    const at = this.#at;
    if (at < this.#end && this.#chain.epoch === this.#epoch && this.#bytes.length !== 0) {
      this.#at = at + 1;
      return this.#bytes[at];
    }
    return this.gather(1).getUint8(0);
  }

  /** Fills `target` with the next `target.length` bytes. */
  readInto(target: Uint8Array): void {
    const length = target.length;
    this.#require(length);
    const position = this.position;
    copyToBytes(this.#chain, target, 0, position, position + length);
    this.#moveTo(position + length);
  }

  /**
   * Decodes the next `sizeBytes` bytes. Characters may lie across fragments. Invalid UTF-8 becomes U+FFFD, as
   * everywhere in Node; as `utf8-strict` it throws `SUNSTAR_INVALID_UTF8`, and the cursor does not move.
   */
  readString(sizeBytes: number, encoding: TextEncoding = 'utf8'): string {
    checkInteger('sizeBytes', sizeBytes, 0, Number.MAX_SAFE_INTEGER);
    if (encoding !== 'utf8-strict') {
      const at = this.take(sizeBytes);
      if (at >= 0) return this.#bytes.toString(encoding, at, at + sizeBytes);
    }
    this.#require(sizeBytes);
    const position = this.position;
    const text = decode(this.#chain, encoding, position, position + sizeBytes);
    this.#moveTo(position + sizeBytes);
    return text;
  }

  /**
   * The next `sizeBytes` bytes as a buffer that shares the memory; the caller disposes it.
   *
   * @param into - A buffer to use instead of a new one; what it held is dropped.
   */
  readIOBuf(sizeBytes: number, into?: IOBuf): IOBuf {
    checkInteger('sizeBytes', sizeBytes, 0, Number.MAX_SAFE_INTEGER);
    const fragment = this.#fragment;
    const at = this.#at;
    if (fragment !== null && sizeBytes > 0 && this.take(sizeBytes) >= 0) {
      return this.#buffer.shareWindow(fragment, at, at + sizeBytes, into);
    }
    this.#require(sizeBytes);
    const shared = this.#buffer.share(this.position, sizeBytes, into);
    this.#moveTo(this.position + sizeBytes);
    return shared;
  }

  /**
   * Shows the next `sizeBytes` bytes where they lie, piece by piece, and consumes them. No object is made.
   *
   * @param visit - Gets the memory and the range in it, which is good during the call only. When it returns
   *   false the rest is left: the cursor then stands behind the piece it saw last.
   * @returns How many bytes were consumed.
   */
  consume(sizeBytes: number, visit: (bytes: Buffer, start: number, end: number) => unknown): number {
    checkInteger('sizeBytes', sizeBytes, 0, Number.MAX_SAFE_INTEGER);
    this.#require(sizeBytes);
    let left = sizeBytes;
    while (left > 0) {
      this.#nextFragmentIfAtEnd();
      const start = this.#at;
      const count = Math.min(left, this.#end - start);
      this.#at = start + count;
      left -= count;
      if (visit(this.#bytes, start, start + count) === false) break;
      // The visitor may have changed the buffer.
      if (left > 0) this.#require(left);
    }
    return sizeBytes - left;
  }

  /** How many bytes lie between the cursor and the next `value` (a byte or a sequence), or −1. */
  indexOf(value: number | Uint8Array): number {
    this.#check();
    const position = this.position;
    const found = indexOf(this.#chain, value, position);
    return found < 0 ? -1 : found - position;
  }

  protected override take(sizeBytes: number): number {
    const at = this.#at;
    const next = at + sizeBytes;
    // An array of length 0 was transferred away: the slow way says so.
    if (next > this.#end || this.#chain.epoch !== this.#epoch || this.#bytes.length === 0) return -1;
    this.#at = next;
    return at;
  }

  protected override gather(sizeBytes: number): DataView {
    this.#require(sizeBytes);
    for (let i = 0; i < sizeBytes; i++) {
      this.#nextFragmentIfAtEnd();
      scratch[i] = this.#bytes[this.#at++];
    }
    return scratchView;
  }

  protected override goBack(position: number): void {
    this.#moveTo(position);
  }

  /** Steps on if the fragment is used up. There must be a next byte. */
  #nextFragmentIfAtEnd(): void {
    if (this.#at < this.#end) return;
    const fragment = this.#fragment;
    if (fragment === null) {
      this.#enter(this.#chain.head, 0);
      return;
    }
    this.#end = fragment.end;
    if (this.#at === fragment.end) this.#enter(fragment.next, this.position);
  }

  #enter(fragment: Fragment | null, position: number): void {
    this.#fragment = fragment;
    this.#at = fragment === null ? 0 : fragment.start;
    this.#end = fragment === null ? 0 : fragment.end;
    this.#bias = this.#at - position;
    if (fragment === null) return;
    const region = regionOf(fragment);
    this.#bytes = region.bytes;
    this.view = region.view;
  }

  #moveTo(position: number): void {
    const at = position + this.#bias;
    if (this.#fragment !== null && at >= this.#fragment.start && at <= this.#end) {
      this.#at = at;
      return;
    }
    const chain = this.#chain;
    const tail = chain.tail;
    if (tail === null) return;
    if (position === chain.size) {
      this.#enter(tail, position - (tail.end - tail.start));
      this.#at = tail.end;
      return;
    }
    const fragment = locate(chain, position);
    this.#enter(fragment, chain.fingerPosition);
    this.#at = position + this.#bias;
  }

  #check(): void {
    if (this.#chain.epoch === this.#epoch) return;
    throw this.#buffer.isDisposed ? disposedError(this.#buffer) : modifiedError();
  }

  #require(sizeBytes: number): void {
    this.#check();
    if (this.#fragment !== null) bytesOf(this.#fragment);
    const remaining = this.#chain.size - this.position;
    if (sizeBytes > remaining) throw underrunError(sizeBytes, remaining);
  }
}
