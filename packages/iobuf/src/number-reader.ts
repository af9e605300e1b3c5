import { invalidVarintError, outOfRangeError } from './errors.js';
import { getI64, getU64 } from './numbers.js';
import { bigUnZigZag, unZigZag, VARINT_BYTES_MAX } from './varint.js';

const U64_END: bigint = 2n ** 64n;

/**
 * Reads numbers. A read that needs more than there is throws `SUNSTAR_UNDERRUN`, and no read that throws
 * moves anything.
 */
export abstract class NumberReader {
  /** @internal The memory that is read at the moment. */
  protected abstract view: DataView;
  /** @internal Where `sizeBytes` contiguous bytes are that were taken; −1: they must be gathered. */
  protected abstract take(sizeBytes: number): number;
  /** @internal Takes bytes that lie across fragments; the view begins with them, and is good until the next call. */
  protected abstract gather(sizeBytes: number): DataView;
  /** @internal Undoes a read that began at `position`. */
  protected abstract goBack(position: number): void;

  /** How many bytes lie in front of the next read. */
  abstract get position(): number;

  /** Reads an unsigned byte. */
  abstract readU8(): number;

  /** Reads a signed byte. */
  readI8(): number {
    return (this.readU8() << 24) >> 24;
  }

  /** Reads an unsigned 16-bit number, least significant byte first. */
  readU16LE(): number {
    const at = this.take(2);
    return at >= 0 ? this.view.getUint16(at, true) : this.gather(2).getUint16(0, true);
  }

  /** Reads an unsigned 16-bit number, most significant byte first. */
  readU16BE(): number {
    const at = this.take(2);
    return at >= 0 ? this.view.getUint16(at) : this.gather(2).getUint16(0);
  }

  /** Reads a signed 16-bit number, least significant byte first. */
  readI16LE(): number {
    const at = this.take(2);
    return at >= 0 ? this.view.getInt16(at, true) : this.gather(2).getInt16(0, true);
  }

  /** Reads a signed 16-bit number, most significant byte first. */
  readI16BE(): number {
    const at = this.take(2);
    return at >= 0 ? this.view.getInt16(at) : this.gather(2).getInt16(0);
  }

  /** Reads an unsigned 32-bit number, least significant byte first. */
  readU32LE(): number {
    const at = this.take(4);
    return at >= 0 ? this.view.getUint32(at, true) : this.gather(4).getUint32(0, true);
  }

  /** Reads an unsigned 32-bit number, most significant byte first. */
  readU32BE(): number {
    const at = this.take(4);
    return at >= 0 ? this.view.getUint32(at) : this.gather(4).getUint32(0);
  }

  /** Reads a signed 32-bit number, least significant byte first. */
  readI32LE(): number {
    const at = this.take(4);
    return at >= 0 ? this.view.getInt32(at, true) : this.gather(4).getInt32(0, true);
  }

  /** Reads a signed 32-bit number, most significant byte first. */
  readI32BE(): number {
    const at = this.take(4);
    return at >= 0 ? this.view.getInt32(at) : this.gather(4).getInt32(0);
  }

  /** Reads an unsigned 64-bit number, least significant byte first; beyond 2^53 − 1: `SUNSTAR_OUT_OF_RANGE`. */
  readU64LE(): number {
    return this.#readU64(true);
  }

  /** Reads an unsigned 64-bit number, most significant byte first; beyond 2^53 − 1: `SUNSTAR_OUT_OF_RANGE`. */
  readU64BE(): number {
    return this.#readU64(false);
  }

  /** Reads a signed 64-bit number, least significant byte first; beyond 2^53 − 1: `SUNSTAR_OUT_OF_RANGE`. */
  readI64LE(): number {
    return this.#readI64(true);
  }

  /** Reads a signed 64-bit number, most significant byte first; beyond 2^53 − 1: `SUNSTAR_OUT_OF_RANGE`. */
  readI64BE(): number {
    return this.#readI64(false);
  }

  /** Reads an unsigned 64-bit number as a bigint, least significant byte first. */
  readBigU64LE(): bigint {
    const at = this.take(8);
    return at >= 0 ? this.view.getBigUint64(at, true) : this.gather(8).getBigUint64(0, true);
  }

  /** Reads an unsigned 64-bit number as a bigint, most significant byte first. */
  readBigU64BE(): bigint {
    const at = this.take(8);
    return at >= 0 ? this.view.getBigUint64(at) : this.gather(8).getBigUint64(0);
  }

  /** Reads a signed 64-bit number as a bigint, least significant byte first. */
  readBigI64LE(): bigint {
    const at = this.take(8);
    return at >= 0 ? this.view.getBigInt64(at, true) : this.gather(8).getBigInt64(0, true);
  }

  /** Reads a signed 64-bit number as a bigint, most significant byte first. */
  readBigI64BE(): bigint {
    const at = this.take(8);
    return at >= 0 ? this.view.getBigInt64(at) : this.gather(8).getBigInt64(0);
  }

  /** Reads an IEEE 754 single, least significant byte first. */
  readF32LE(): number {
    const at = this.take(4);
    return at >= 0 ? this.view.getFloat32(at, true) : this.gather(4).getFloat32(0, true);
  }

  /** Reads an IEEE 754 single, most significant byte first. */
  readF32BE(): number {
    const at = this.take(4);
    return at >= 0 ? this.view.getFloat32(at) : this.gather(4).getFloat32(0);
  }

  /** Reads an IEEE 754 double, least significant byte first. */
  readF64LE(): number {
    const at = this.take(8);
    return at >= 0 ? this.view.getFloat64(at, true) : this.gather(8).getFloat64(0, true);
  }

  /** Reads an IEEE 754 double, most significant byte first. */
  readF64BE(): number {
    const at = this.take(8);
    return at >= 0 ? this.view.getFloat64(at) : this.gather(8).getFloat64(0);
  }

  /** Reads a varint (unsigned LEB128) of up to 53 bits; a wider one: `SUNSTAR_OUT_OF_RANGE`, none: `SUNSTAR_INVALID_VARINT`. */
  readVarint(): number {
    const start = this.position;
    try {
      let value = 0;
      let unit = 1;
      for (let i = 0; i < VARINT_BYTES_MAX; i++) {
        const byte = this.readU8();
        value += (byte & 0x7f) * unit;
        if (value > Number.MAX_SAFE_INTEGER) {
          throw outOfRangeError('the varint (see readBigVarint)', value, 0, Number.MAX_SAFE_INTEGER);
        }
        if (byte < 0x80) return value;
        unit *= 128;
      }
      throw invalidVarintError();
    } catch (error) {
      this.goBack(start);
      throw error;
    }
  }

  /** Reads a zig-zag varint of up to 53 bits. */
  readZigZag(): number {
    return unZigZag(this.readVarint());
  }

  /** Reads a varint of up to 64 bits. */
  readBigVarint(): bigint {
    const start = this.position;
    try {
      let value = 0n;
      for (let i = 0; i < VARINT_BYTES_MAX; i++) {
        const byte = this.readU8();
        value |= BigInt(byte & 0x7f) << BigInt(7 * i);
        if (byte >= 0x80) continue;
        if (value >= U64_END) break;
        return value;
      }
      throw invalidVarintError();
    } catch (error) {
      this.goBack(start);
      throw error;
    }
  }

  /** Reads a zig-zag varint of up to 64 bits. */
  readBigZigZag(): bigint {
    return bigUnZigZag(this.readBigVarint());
  }

  #readU64(littleEndian: boolean): number {
    const start = this.position;
    const at = this.take(8);
    try {
      return at >= 0 ? getU64(this.view, at, littleEndian) : getU64(this.gather(8), 0, littleEndian);
    } catch (error) {
      this.goBack(start);
      throw error;
    }
  }

  #readI64(littleEndian: boolean): number {
    const start = this.position;
    const at = this.take(8);
    try {
      return at >= 0 ? getI64(this.view, at, littleEndian) : getI64(this.gather(8), 0, littleEndian);
    } catch (error) {
      this.goBack(start);
      throw error;
    }
  }
}
