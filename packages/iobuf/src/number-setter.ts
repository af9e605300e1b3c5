import { checkInteger } from './errors.js';
import {
  checkBigI64,
  checkBigU64,
  checkFloat,
  checkI8,
  checkI16,
  checkI32,
  checkI64,
  checkU8,
  checkU16,
  checkU32,
  checkU64,
  setU64,
} from './numbers.js';
import {
  bigVarintBytes,
  bigZigZag,
  setBigVarint,
  setVarint,
  VARINT_BYTES_MAX,
  varintBytes,
  zigZag,
} from './varint.js';

/** Writes numbers at given places. What does not fit throws `SUNSTAR_OUT_OF_RANGE`, and nothing is written. */
export abstract class NumberSetter {
  /** How many bytes there are. */
  abstract readonly sizeBytes: number;
  /** @internal The arena offset of `[at, at + sizeBytes)`, or −1 when what is written there is of no interest any more. */
  protected abstract place(at: number, sizeBytes: number): number;
  /** @internal The arena. */
  protected abstract arenaView(): DataView;
  /** @internal The arena. */
  protected abstract arenaBytes(): Buffer;

  /** Writes an integer from 0 to 255 at `at` (default 0). */
  setU8(value: number, at = 0): void {
    checkU8(value);
    const to = this.place(at, 1);
    if (to >= 0) this.arenaBytes()[to] = value;
  }

  /** Writes an integer from −128 to 127 at `at` (default 0). */
  setI8(value: number, at = 0): void {
    checkI8(value);
    const to = this.place(at, 1);
    if (to >= 0) this.arenaBytes()[to] = value;
  }

  /** Writes an integer from 0 to 2^16 − 1, least significant byte first, at `at` (default 0). */
  setU16LE(value: number, at = 0): void {
    checkU16(value);
    const to = this.place(at, 2);
    if (to >= 0) this.arenaView().setUint16(to, value, true);
  }

  /** Writes an integer from 0 to 2^16 − 1, most significant byte first, at `at` (default 0). */
  setU16BE(value: number, at = 0): void {
    checkU16(value);
    const to = this.place(at, 2);
    if (to >= 0) this.arenaView().setUint16(to, value);
  }

  /** Writes an integer from −2^15 to 2^15 − 1, least significant byte first, at `at` (default 0). */
  setI16LE(value: number, at = 0): void {
    checkI16(value);
    const to = this.place(at, 2);
    if (to >= 0) this.arenaView().setInt16(to, value, true);
  }

  /** Writes an integer from −2^15 to 2^15 − 1, most significant byte first, at `at` (default 0). */
  setI16BE(value: number, at = 0): void {
    checkI16(value);
    const to = this.place(at, 2);
    if (to >= 0) this.arenaView().setInt16(to, value);
  }

  /** Writes an integer from 0 to 2^32 − 1, least significant byte first, at `at` (default 0). */
  setU32LE(value: number, at = 0): void {
    checkU32(value);
    const to = this.place(at, 4);
    if (to >= 0) this.arenaView().setUint32(to, value, true);
  }

  /** Writes an integer from 0 to 2^32 − 1, most significant byte first, at `at` (default 0). */
  setU32BE(value: number, at = 0): void {
    checkU32(value);
    const to = this.place(at, 4);
    if (to >= 0) this.arenaView().setUint32(to, value);
  }

  /** Writes an integer from −2^31 to 2^31 − 1, least significant byte first, at `at` (default 0). */
  setI32LE(value: number, at = 0): void {
    checkI32(value);
    const to = this.place(at, 4);
    if (to >= 0) this.arenaView().setInt32(to, value, true);
  }

  /** Writes an integer from −2^31 to 2^31 − 1, most significant byte first, at `at` (default 0). */
  setI32BE(value: number, at = 0): void {
    checkI32(value);
    const to = this.place(at, 4);
    if (to >= 0) this.arenaView().setInt32(to, value);
  }

  /** Writes an integer from 0 to 2^53 − 1 as 64 bits, least significant byte first, at `at` (default 0). */
  setU64LE(value: number, at = 0): void {
    checkU64(value);
    const to = this.place(at, 8);
    if (to >= 0) setU64(this.arenaView(), to, value, true);
  }

  /** Writes an integer from 0 to 2^53 − 1 as 64 bits, most significant byte first, at `at` (default 0). */
  setU64BE(value: number, at = 0): void {
    checkU64(value);
    const to = this.place(at, 8);
    if (to >= 0) setU64(this.arenaView(), to, value, false);
  }

  /** Writes an integer from −2^53 + 1 to 2^53 − 1 as 64 bits, least significant byte first, at `at` (default 0). */
  setI64LE(value: number, at = 0): void {
    checkI64(value);
    const to = this.place(at, 8);
    if (to >= 0) setU64(this.arenaView(), to, value, true);
  }

  /** Writes an integer from −2^53 + 1 to 2^53 − 1 as 64 bits, most significant byte first, at `at` (default 0). */
  setI64BE(value: number, at = 0): void {
    checkI64(value);
    const to = this.place(at, 8);
    if (to >= 0) setU64(this.arenaView(), to, value, false);
  }

  /** Writes a bigint from 0 to 2^64 − 1, least significant byte first, at `at` (default 0). */
  setBigU64LE(value: bigint, at = 0): void {
    checkBigU64(value);
    const to = this.place(at, 8);
    if (to >= 0) this.arenaView().setBigUint64(to, value, true);
  }

  /** Writes a bigint from 0 to 2^64 − 1, most significant byte first, at `at` (default 0). */
  setBigU64BE(value: bigint, at = 0): void {
    checkBigU64(value);
    const to = this.place(at, 8);
    if (to >= 0) this.arenaView().setBigUint64(to, value);
  }

  /** Writes a bigint from −2^63 to 2^63 − 1, least significant byte first, at `at` (default 0). */
  setBigI64LE(value: bigint, at = 0): void {
    checkBigI64(value);
    const to = this.place(at, 8);
    if (to >= 0) this.arenaView().setBigInt64(to, value, true);
  }

  /** Writes a bigint from −2^63 to 2^63 − 1, most significant byte first, at `at` (default 0). */
  setBigI64BE(value: bigint, at = 0): void {
    checkBigI64(value);
    const to = this.place(at, 8);
    if (to >= 0) this.arenaView().setBigInt64(to, value);
  }

  /** Writes an IEEE 754 single, rounded to the nearest, least significant byte first, at `at` (default 0). */
  setF32LE(value: number, at = 0): void {
    checkFloat(value);
    const to = this.place(at, 4);
    if (to >= 0) this.arenaView().setFloat32(to, value, true);
  }

  /** Writes an IEEE 754 single, rounded to the nearest, most significant byte first, at `at` (default 0). */
  setF32BE(value: number, at = 0): void {
    checkFloat(value);
    const to = this.place(at, 4);
    if (to >= 0) this.arenaView().setFloat32(to, value);
  }

  /** Writes an IEEE 754 double, least significant byte first, at `at` (default 0). */
  setF64LE(value: number, at = 0): void {
    checkFloat(value);
    const to = this.place(at, 8);
    if (to >= 0) this.arenaView().setFloat64(to, value, true);
  }

  /** Writes an IEEE 754 double, most significant byte first, at `at` (default 0). */
  setF64BE(value: number, at = 0): void {
    checkFloat(value);
    const to = this.place(at, 8);
    if (to >= 0) this.arenaView().setFloat64(to, value);
  }

  /**
   * Writes an integer from 0 to 2^53 − 1 as a varint that fills `[at, at + sizeBytes)`, by default all from `at`
   * on: 1 to 10 bytes. It is longer than needed where the value is small, which every decoder accepts.
   */
  setVarint(value: number, at = 0, sizeBytes: number = this.sizeBytes - at): void {
    checkU64(value);
    this.#setVarint(value, at, sizeBytes);
  }

  /** Writes an integer from −2^52 to 2^52 − 1 as a zig-zag varint; see {@link setVarint}. */
  setZigZag(value: number, at = 0, sizeBytes: number = this.sizeBytes - at): void {
    this.#setVarint(zigZag(value), at, sizeBytes);
  }

  /** Writes a bigint from 0 to 2^64 − 1 as a varint; see {@link setVarint}. */
  setBigVarint(value: bigint, at = 0, sizeBytes: number = this.sizeBytes - at): void {
    checkBigU64(value);
    this.#setBigVarint(value, at, sizeBytes);
  }

  /** Writes a bigint from −2^63 to 2^63 − 1 as a zig-zag varint; see {@link setVarint}. */
  setBigZigZag(value: bigint, at = 0, sizeBytes: number = this.sizeBytes - at): void {
    checkBigI64(value);
    this.#setBigVarint(bigZigZag(value), at, sizeBytes);
  }

  #setVarint(value: number, at: number, sizeBytes: number): void {
    checkInteger('sizeBytes', sizeBytes, varintBytes(value), VARINT_BYTES_MAX);
    const to = this.place(at, sizeBytes);
    if (to >= 0) setVarint(this.arenaBytes(), to, value, sizeBytes);
  }

  #setBigVarint(value: bigint, at: number, sizeBytes: number): void {
    checkInteger('sizeBytes', sizeBytes, bigVarintBytes(value), VARINT_BYTES_MAX);
    const to = this.place(at, sizeBytes);
    if (to >= 0) setBigVarint(this.arenaBytes(), to, value, sizeBytes);
  }
}
