import { invalidArgumentError, outOfRangeError } from './errors.js';

/** 2^32. */
const WORD = 0x1_0000_0000;

export function checkU8(value: number): void {
  if ((value & 0xff) !== value) throw outOfRangeError('value', value, 0, 0xff);
}

export function checkU16(value: number): void {
  if ((value & 0xffff) !== value) throw outOfRangeError('value', value, 0, 0xffff);
}

export function checkU32(value: number): void {
  if (value >>> 0 !== value) throw outOfRangeError('value', value, 0, 0xffff_ffff);
}

export function checkI32(value: number): void {
  if ((value | 0) !== value) throw outOfRangeError('value', value, -0x8000_0000, 0x7fff_ffff);
}

export function checkU64(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw outOfRangeError('value', value, 0, Number.MAX_SAFE_INTEGER);
  }
}

export function checkF64(value: number): void {
  if (typeof value !== 'number') throw invalidArgumentError('value', 'a number', value);
}

/** Stores a checked unsigned 64-bit number. */
export function setU64(view: DataView, at: number, value: number, littleEndian: boolean): void {
  const high = Math.floor(value / WORD);
  view.setUint32(littleEndian ? at + 4 : at, high, littleEndian);
  view.setUint32(littleEndian ? at : at + 4, value >>> 0, littleEndian);
}

/** Loads an unsigned 64-bit number; throws SUNSTAR_OUT_OF_RANGE above 2^53 − 1. */
export function getU64(view: DataView, at: number, littleEndian: boolean): number {
  const high = view.getUint32(littleEndian ? at + 4 : at, littleEndian);
  const low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
  if (high > 0x1f_ffff) {
    const hex = high.toString(16) + low.toString(16).padStart(8, '0');
    throw outOfRangeError('the 64-bit number in the buffer', `0x${hex}`, 0, Number.MAX_SAFE_INTEGER);
  }
  return high * WORD + low;
}
