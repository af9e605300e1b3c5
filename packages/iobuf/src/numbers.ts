import { invalidArgumentError, outOfRangeError } from './errors.js';

/** 2^32. */
const WORD = 0x1_0000_0000;
const I64_MIN = -(2n ** 63n);
const I64_MAX: bigint = 2n ** 63n - 1n;
const U64_MAX: bigint = 2n ** 64n - 1n;

export function checkU8(value: number): void {
  if (typeof value !== 'number' || (value & 0xff) !== value) throw outOfRangeError('value', value, 0, 0xff);
}

export function checkI8(value: number): void {
  if (typeof value !== 'number' || (value << 24) >> 24 !== value)
    throw outOfRangeError('value', value, -0x80, 0x7f);
}

export function checkU16(value: number): void {
  if (typeof value !== 'number' || (value & 0xffff) !== value)
    throw outOfRangeError('value', value, 0, 0xffff);
}

export function checkI16(value: number): void {
  if (typeof value !== 'number' || (value << 16) >> 16 !== value)
    throw outOfRangeError('value', value, -0x8000, 0x7fff);
}

export function checkU32(value: number, name = 'value'): void {
  if (typeof value !== 'number' || value >>> 0 !== value) throw outOfRangeError(name, value, 0, 0xffff_ffff);
}

export function checkI32(value: number): void {
  if (typeof value !== 'number' || (value | 0) !== value)
    throw outOfRangeError('value', value, -0x8000_0000, 0x7fff_ffff);
}

export function checkU64(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw outOfRangeError('value', value, 0, Number.MAX_SAFE_INTEGER);
  }
}

export function checkI64(value: number): void {
  if (!Number.isSafeInteger(value)) {
    throw outOfRangeError('value', value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  }
}

export function checkBigU64(value: bigint): void {
  checkBig(value, 0n, U64_MAX);
}

export function checkBigI64(value: bigint): void {
  checkBig(value, I64_MIN, I64_MAX);
}

function checkBig(value: bigint, min: bigint, max: bigint): void {
  if (typeof value !== 'bigint') throw invalidArgumentError('value', 'a bigint', value);
  if (value < min || value > max) throw outOfRangeError('value', value, min, max);
}

export function checkFloat(value: number): void {
  if (typeof value !== 'number') throw invalidArgumentError('value', 'a number', value);
}

/** Stores a checked 64-bit number, signed or not: the two's complement of its upper word is its floor. */
export function setU64(view: DataView, at: number, value: number, littleEndian: boolean): void {
  const high = Math.floor(value / WORD);
  view.setUint32(littleEndian ? at + 4 : at, high, littleEndian);
  view.setUint32(littleEndian ? at : at + 4, value >>> 0, littleEndian);
}

/** Loads an unsigned 64-bit number; throws SUNSTAR_OUT_OF_RANGE above 2^53 − 1. */
export function getU64(view: DataView, at: number, littleEndian: boolean): number {
  const high = view.getUint32(littleEndian ? at + 4 : at, littleEndian);
  const low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
  if (high > 0x1f_ffff) throw tooWide(high, low, 0);
  return high * WORD + low;
}

/** Loads a signed 64-bit number; throws SUNSTAR_OUT_OF_RANGE beyond ±(2^53 − 1). */
export function getI64(view: DataView, at: number, littleEndian: boolean): number {
  const high = view.getInt32(littleEndian ? at + 4 : at, littleEndian);
  const low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
  const value = high * WORD + low;
  if (!Number.isSafeInteger(value)) throw tooWide(high >>> 0, low, Number.MIN_SAFE_INTEGER);
  return value;
}

function tooWide(high: number, low: number, min: number): Error {
  const hex = high.toString(16) + low.toString(16).padStart(8, '0');
  return outOfRangeError(
    'the 64-bit number in the buffer (see the Big variant)',
    `0x${hex}`,
    min,
    Number.MAX_SAFE_INTEGER,
  );
}
