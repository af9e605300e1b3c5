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
import { bigVarintBytes, bigZigZag, setBigVarint, setVarint, varintBytes, zigZag } from './varint.js';

/**
 * Appends numbers. A number is never cut in two: where the memory at the end has too little room, new
 * memory follows. Values out of range throw `SUNSTAR_OUT_OF_RANGE`, and nothing is appended.
 */
export abstract class NumberAppender {
  /** @internal Takes `sizeBytes` contiguous bytes behind the content and returns where in the arena they are. */
  protected abstract claim(sizeBytes: number): number;
  /** @internal The arena. */
  protected abstract arenaView(): DataView;
  /** @internal The arena. */
  protected abstract arenaBytes(): Buffer;

  /** Appends an integer from 0 to 255. */
  appendU8(value: number): this {
    checkU8(value);
    const at = this.claim(1);
    this.arenaBytes()[at] = value;
    return this;
  }

  /** Appends an integer from −128 to 127. */
  appendI8(value: number): this {
    checkI8(value);
    const at = this.claim(1);
    this.arenaBytes()[at] = value;
    return this;
  }

  /** Appends an integer from 0 to 2^16 − 1, least significant byte first. */
  appendU16LE(value: number): this {
    checkU16(value);
    const at = this.claim(2);
    this.arenaView().setUint16(at, value, true);
    return this;
  }

  /** Appends an integer from 0 to 2^16 − 1, most significant byte first. */
  appendU16BE(value: number): this {
    checkU16(value);
    const at = this.claim(2);
    this.arenaView().setUint16(at, value);
    return this;
  }

  /** Appends an integer from −2^15 to 2^15 − 1, least significant byte first. */
  appendI16LE(value: number): this {
    checkI16(value);
    const at = this.claim(2);
    this.arenaView().setInt16(at, value, true);
    return this;
  }

  /** Appends an integer from −2^15 to 2^15 − 1, most significant byte first. */
  appendI16BE(value: number): this {
    checkI16(value);
    const at = this.claim(2);
    this.arenaView().setInt16(at, value);
    return this;
  }

  /** Appends an integer from 0 to 2^32 − 1, least significant byte first. */
  appendU32LE(value: number): this {
    checkU32(value);
    const at = this.claim(4);
    this.arenaView().setUint32(at, value, true);
    return this;
  }

  /** Appends an integer from 0 to 2^32 − 1, most significant byte first. */
  appendU32BE(value: number): this {
    checkU32(value);
    const at = this.claim(4);
    this.arenaView().setUint32(at, value);
    return this;
  }

  /** Appends an integer from −2^31 to 2^31 − 1, least significant byte first. */
  appendI32LE(value: number): this {
    checkI32(value);
    const at = this.claim(4);
    this.arenaView().setInt32(at, value, true);
    return this;
  }

  /** Appends an integer from −2^31 to 2^31 − 1, most significant byte first. */
  appendI32BE(value: number): this {
    checkI32(value);
    const at = this.claim(4);
    this.arenaView().setInt32(at, value);
    return this;
  }

  /** Appends an integer from 0 to 2^53 − 1 as 64 bits, least significant byte first. */
  appendU64LE(value: number): this {
    checkU64(value);
    const at = this.claim(8);
    setU64(this.arenaView(), at, value, true);
    return this;
  }

  /** Appends an integer from 0 to 2^53 − 1 as 64 bits, most significant byte first. */
  appendU64BE(value: number): this {
    checkU64(value);
    const at = this.claim(8);
    setU64(this.arenaView(), at, value, false);
    return this;
  }

  /** Appends an integer from −2^53 + 1 to 2^53 − 1 as 64 bits, least significant byte first. */
  appendI64LE(value: number): this {
    checkI64(value);
    const at = this.claim(8);
    setU64(this.arenaView(), at, value, true);
    return this;
  }

  /** Appends an integer from −2^53 + 1 to 2^53 − 1 as 64 bits, most significant byte first. */
  appendI64BE(value: number): this {
    checkI64(value);
    const at = this.claim(8);
    setU64(this.arenaView(), at, value, false);
    return this;
  }

  /** Appends a bigint from 0 to 2^64 − 1, least significant byte first. */
  appendBigU64LE(value: bigint): this {
    checkBigU64(value);
    const at = this.claim(8);
    this.arenaView().setBigUint64(at, value, true);
    return this;
  }

  /** Appends a bigint from 0 to 2^64 − 1, most significant byte first. */
  appendBigU64BE(value: bigint): this {
    checkBigU64(value);
    const at = this.claim(8);
    this.arenaView().setBigUint64(at, value);
    return this;
  }

  /** Appends a bigint from −2^63 to 2^63 − 1, least significant byte first. */
  appendBigI64LE(value: bigint): this {
    checkBigI64(value);
    const at = this.claim(8);
    this.arenaView().setBigInt64(at, value, true);
    return this;
  }

  /** Appends a bigint from −2^63 to 2^63 − 1, most significant byte first. */
  appendBigI64BE(value: bigint): this {
    checkBigI64(value);
    const at = this.claim(8);
    this.arenaView().setBigInt64(at, value);
    return this;
  }

  /** Appends an IEEE 754 single, rounded to the nearest, least significant byte first. */
  appendF32LE(value: number): this {
    checkFloat(value);
    const at = this.claim(4);
    this.arenaView().setFloat32(at, value, true);
    return this;
  }

  /** Appends an IEEE 754 single, rounded to the nearest, most significant byte first. */
  appendF32BE(value: number): this {
    checkFloat(value);
    const at = this.claim(4);
    this.arenaView().setFloat32(at, value);
    return this;
  }

  /** Appends an IEEE 754 double, least significant byte first. */
  appendF64LE(value: number): this {
    checkFloat(value);
    const at = this.claim(8);
    this.arenaView().setFloat64(at, value, true);
    return this;
  }

  /** Appends an IEEE 754 double, most significant byte first. */
  appendF64BE(value: number): this {
    checkFloat(value);
    const at = this.claim(8);
    this.arenaView().setFloat64(at, value);
    return this;
  }

  /** Appends an integer from 0 to 2^53 − 1 as a varint (unsigned LEB128): 1 to 8 bytes. */
  appendVarint(value: number): this {
    checkU64(value);
    this.#varint(value);
    return this;
  }

  /** Appends an integer from −2^52 to 2^52 − 1 as a zig-zag varint. */
  appendZigZag(value: number): this {
    this.#varint(zigZag(value));
    return this;
  }

  /** Appends a bigint from 0 to 2^64 − 1 as a varint: 1 to 10 bytes. */
  appendBigVarint(value: bigint): this {
    checkBigU64(value);
    this.#bigVarint(value);
    return this;
  }

  /** Appends a bigint from −2^63 to 2^63 − 1 as a zig-zag varint. */
  appendBigZigZag(value: bigint): this {
    checkBigI64(value);
    this.#bigVarint(bigZigZag(value));
    return this;
  }

  #varint(value: number): void {
    const sizeBytes = varintBytes(value);
    const at = this.claim(sizeBytes);
    setVarint(this.arenaBytes(), at, value, sizeBytes);
  }

  #bigVarint(value: bigint): void {
    const sizeBytes = bigVarintBytes(value);
    const at = this.claim(sizeBytes);
    setBigVarint(this.arenaBytes(), at, value, sizeBytes);
  }
}
