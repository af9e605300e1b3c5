import { type Chain, locate } from './chain.js';
import { copyToBytes, decode, indexOf } from './content.js';
import { checkInteger, disposedError, modifiedError, underrunError } from './errors.js';
import type { Fragment } from './fragment.js';
import type { IOBuf } from './iobuf.js';
import { getU64 } from './numbers.js';

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
export class Cursor {
  readonly #buffer: IOBuf;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #chain: Chain;
  #epoch: number;
  /** The fragment that is read; null only before the first byte of an empty buffer. */
  #fragment: Fragment | null = null;
  /** Arena offset of the next byte. */
  #at = 0;
  /** Arena offset behind the known part of the fragment: an append may have added more. */
  #end = 0;
  /** What makes an arena offset in this fragment a position in the content. */
  #bias = 0;

  /** @internal Made by `IOBuf.cursor()`. */
  constructor(buffer: IOBuf, chain: Chain) {
    this.#buffer = buffer;
    this.#chain = chain;
    this.#epoch = chain.epoch;
    this.#bytes = chain.bytes;
    this.#view = chain.view;
    this.#enter(chain.head, 0);
  }

  /** How many bytes of the content lie in front of the cursor. */
  get position(): number {
    return this.#at - this.#bias;
  }

  /** How many bytes can still be read. */
  get remaining(): number {
    this.#check();
    return this.#chain.size - this.position;
  }

  /** Starts again at the front of the buffer, as it is now. */
  reset(): void {
    if (this.#buffer.isDisposed) throw disposedError();
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
    if (at < this.#end && this.#chain.epoch === this.#epoch) return this.#bytes[at];
    this.#require(1);
    this.#nextFragmentIfAtEnd();
    return this.#bytes[this.#at];
  }

  /** Reads an unsigned byte. */
  readU8(): number {
    const at = this.#at;
    if (at < this.#end && this.#chain.epoch === this.#epoch) {
      this.#at = at + 1;
      return this.#bytes[at];
    }
    return this.#gather(1).getUint8(0);
  }

  /** Reads an unsigned 16-bit number, least significant byte first. */
  readU16LE(): number {
    const at = this.#take(2);
    return at >= 0 ? this.#view.getUint16(at, true) : this.#gather(2).getUint16(0, true);
  }

  /** Reads an unsigned 16-bit number, most significant byte first. */
  readU16BE(): number {
    const at = this.#take(2);
    return at >= 0 ? this.#view.getUint16(at) : this.#gather(2).getUint16(0);
  }

  /** Reads an unsigned 32-bit number, least significant byte first. */
  readU32LE(): number {
    const at = this.#take(4);
    return at >= 0 ? this.#view.getUint32(at, true) : this.#gather(4).getUint32(0, true);
  }

  /** Reads an unsigned 32-bit number, most significant byte first. */
  readU32BE(): number {
    const at = this.#take(4);
    return at >= 0 ? this.#view.getUint32(at) : this.#gather(4).getUint32(0);
  }

  /** Reads a signed 32-bit number, least significant byte first. */
  readI32LE(): number {
    const at = this.#take(4);
    return at >= 0 ? this.#view.getInt32(at, true) : this.#gather(4).getInt32(0, true);
  }

  /** Reads a signed 32-bit number, most significant byte first. */
  readI32BE(): number {
    const at = this.#take(4);
    return at >= 0 ? this.#view.getInt32(at) : this.#gather(4).getInt32(0);
  }

  /** Reads an unsigned 64-bit number, least significant byte first; above 2^53 − 1: `SUNSTAR_OUT_OF_RANGE`. */
  readU64LE(): number {
    return this.#readU64(true);
  }

  /** Reads an unsigned 64-bit number, most significant byte first; above 2^53 − 1: `SUNSTAR_OUT_OF_RANGE`. */
  readU64BE(): number {
    return this.#readU64(false);
  }

  /** Reads an IEEE 754 double, least significant byte first. */
  readF64LE(): number {
    const at = this.#take(8);
    return at >= 0 ? this.#view.getFloat64(at, true) : this.#gather(8).getFloat64(0, true);
  }

  /** Reads an IEEE 754 double, most significant byte first. */
  readF64BE(): number {
    const at = this.#take(8);
    return at >= 0 ? this.#view.getFloat64(at) : this.#gather(8).getFloat64(0);
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
   * Decodes the next `sizeBytes` bytes. Characters may lie across fragments; invalid UTF-8 becomes U+FFFD,
   * as everywhere in Node.
   */
  readString(sizeBytes: number, encoding: 'utf8' | 'latin1' = 'utf8'): string {
    checkInteger('sizeBytes', sizeBytes, 0, Number.MAX_SAFE_INTEGER);
    const at = this.#take(sizeBytes);
    if (at >= 0) return this.#bytes.toString(encoding, at, at + sizeBytes);
    this.#require(sizeBytes);
    const position = this.position;
    const text = decode(this.#chain, encoding, position, position + sizeBytes);
    this.#moveTo(position + sizeBytes);
    return text;
  }

  /** The next `sizeBytes` bytes as a buffer that shares the memory; the caller disposes it. */
  readIOBuf(sizeBytes: number): IOBuf {
    checkInteger('sizeBytes', sizeBytes, 0, Number.MAX_SAFE_INTEGER);
    this.#require(sizeBytes);
    const shared = this.#buffer.share(this.position, sizeBytes);
    this.#moveTo(this.position + sizeBytes);
    return shared;
  }

  /** How many bytes lie between the cursor and the next `value` (a byte or a sequence), or −1. */
  indexOf(value: number | Uint8Array): number {
    this.#check();
    const position = this.position;
    const found = indexOf(this.#chain, value, position);
    return found < 0 ? -1 : found - position;
  }

  /** Takes `sizeBytes` contiguous bytes and returns their arena offset; −1: the slow way must look closer. */
  #take(sizeBytes: number): number {
    const at = this.#at;
    const next = at + sizeBytes;
    if (next > this.#end || this.#chain.epoch !== this.#epoch) return -1;
    this.#at = next;
    return at;
  }

  /** Takes up to 8 bytes one by one; returns a view that begins with them. */
  #gather(sizeBytes: number): DataView {
    this.#require(sizeBytes);
    for (let i = 0; i < sizeBytes; i++) {
      this.#nextFragmentIfAtEnd();
      scratch[i] = this.#bytes[this.#at++];
    }
    return scratchView;
  }

  #readU64(littleEndian: boolean): number {
    const position = this.position;
    const at = this.#take(8);
    try {
      return at >= 0 ? getU64(this.#view, at, littleEndian) : getU64(this.#gather(8), 0, littleEndian);
    } catch (error) {
      this.#moveTo(position);
      throw error;
    }
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
    throw this.#buffer.isDisposed ? disposedError() : modifiedError();
  }

  #require(sizeBytes: number): void {
    this.#check();
    const remaining = this.#chain.size - this.position;
    if (sizeBytes > remaining) throw underrunError(sizeBytes, remaining);
  }
}
