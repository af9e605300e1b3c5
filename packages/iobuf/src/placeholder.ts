import type { Block } from './block.js';
import type { Chain } from './chain.js';
import { checkInteger, disposedError, invalidArgumentError, outOfRangeError } from './errors.js';
import type { IOBuf } from './iobuf.js';
import { checkI32, checkU8, checkU16, checkU32, checkU64, setU64 } from './numbers.js';

/**
 * Bytes of an IOBuf that are written later, for example the length or the checksum in front of a message
 * that is still growing. Made by `IOBuf.placeholder(sizeBytes)`; the bytes are zero and count in the size
 * from the start. After Redpanda's `iobuf::placeholder`.
 *
 * - Positions are relative to the placeholder; what would cross its end throws `SUNSTAR_OUT_OF_RANGE`.
 * - Appending and trimming around it do not disturb it. Bytes of it that were trimmed away are gone:
 *   writing them has no effect.
 * - Shares and links made before the write see the same memory, so they see the write.
 * - It owns nothing: fill it before its buffer is disposed; afterwards it throws `SUNSTAR_IOBUF_DISPOSED`.
 */
export class Placeholder {
  /** How many bytes it has. */
  readonly sizeBytes: number;
  readonly #buffer: IOBuf;
  readonly #chain: Chain;
  readonly #block: Block;
  readonly #blockEpoch: number;
  readonly #offset: number;

  /** @internal Made by `IOBuf.placeholder`. */
  constructor(buffer: IOBuf, chain: Chain, block: Block, offset: number, sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.#buffer = buffer;
    this.#chain = chain;
    this.#block = block;
    this.#blockEpoch = block.epoch;
    this.#offset = offset;
  }

  /** Writes bytes, or a string as UTF-8, at `at` (default 0). */
  write(data: Uint8Array | string, at = 0): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    if (!(bytes instanceof Uint8Array)) throw invalidArgumentError('data', 'a Uint8Array or a string', data);
    const to = this.#locate(at, bytes.length);
    if (to >= 0) this.#chain.bytes.set(bytes, to);
  }

  /** Writes an unsigned byte at `at` (default 0). */
  setU8(value: number, at = 0): void {
    checkU8(value);
    const to = this.#locate(at, 1);
    if (to >= 0) this.#chain.view.setUint8(to, value);
  }

  /** Writes an unsigned 16-bit number, least significant byte first, at `at` (default 0). */
  setU16LE(value: number, at = 0): void {
    this.#setU16(value, at, true);
  }

  /** Writes an unsigned 16-bit number, most significant byte first, at `at` (default 0). */
  setU16BE(value: number, at = 0): void {
    this.#setU16(value, at, false);
  }

  /** Writes an unsigned 32-bit number, least significant byte first, at `at` (default 0). */
  setU32LE(value: number, at = 0): void {
    this.#setU32(value, at, true);
  }

  /** Writes an unsigned 32-bit number, most significant byte first, at `at` (default 0). */
  setU32BE(value: number, at = 0): void {
    this.#setU32(value, at, false);
  }

  /** Writes a signed 32-bit number, least significant byte first, at `at` (default 0). */
  setI32LE(value: number, at = 0): void {
    this.#setI32(value, at, true);
  }

  /** Writes a signed 32-bit number, most significant byte first, at `at` (default 0). */
  setI32BE(value: number, at = 0): void {
    this.#setI32(value, at, false);
  }

  /** Writes an integer from 0 to 2^53 − 1 as 64 bits, least significant byte first, at `at` (default 0). */
  setU64LE(value: number, at = 0): void {
    this.#setU64(value, at, true);
  }

  /** Writes an integer from 0 to 2^53 − 1 as 64 bits, most significant byte first, at `at` (default 0). */
  setU64BE(value: number, at = 0): void {
    this.#setU64(value, at, false);
  }

  #setU16(value: number, at: number, littleEndian: boolean): void {
    checkU16(value);
    const to = this.#locate(at, 2);
    if (to >= 0) this.#chain.view.setUint16(to, value, littleEndian);
  }

  #setU32(value: number, at: number, littleEndian: boolean): void {
    checkU32(value);
    const to = this.#locate(at, 4);
    if (to >= 0) this.#chain.view.setUint32(to, value, littleEndian);
  }

  #setI32(value: number, at: number, littleEndian: boolean): void {
    checkI32(value);
    const to = this.#locate(at, 4);
    if (to >= 0) this.#chain.view.setInt32(to, value, littleEndian);
  }

  #setU64(value: number, at: number, littleEndian: boolean): void {
    checkU64(value);
    const to = this.#locate(at, 8);
    if (to >= 0) setU64(this.#chain.view, to, value, littleEndian);
  }

  /** The arena offset to write at, or −1 when the bytes were trimmed away together with their block. */
  #locate(at: number, sizeBytes: number): number {
    if (this.#buffer.isDisposed) throw disposedError();
    checkInteger('at', at, 0, this.sizeBytes);
    if (at + sizeBytes > this.sizeBytes) {
      throw outOfRangeError('the size of what is written', sizeBytes, 0, this.sizeBytes - at);
    }
    return this.#block.epoch === this.#blockEpoch ? this.#offset + at : -1;
  }
}
