/**
 * Byte work on the arena that is done for every command, written so that V8 compiles it to plain loads and
 * stores: small ranges are copied and compared word by word, since one call of a built-in costs more than that.
 */

/** From this length on `copyWithin` is faster than a loop. */
const COPY_BUILTIN_BYTES = 96;

/** From this length on `Buffer.compare` is faster than a loop. */
const COMPARE_BUILTIN_BYTES = 256;

/** Copies `length` bytes inside the arena. The ranges must not overlap. */
export function copyBytes(
  bytes: Buffer,
  view: DataView,
  source: number,
  target: number,
  length: number,
): void {
  if (length >= COPY_BUILTIN_BYTES) {
    bytes.copyWithin(target, source, source + length);
    return;
  }
  let from = source;
  let to = target;
  if (length >= 4) {
    for (const last = source + length - 4; from < last; from += 4, to += 4) {
      view.setInt32(to, view.getInt32(from, true), true);
    }
    // The last word overlaps the one before it unless the length is a multiple of 4.
    view.setInt32(target + length - 4, view.getInt32(source + length - 4, true), true);
    return;
  }
  for (const end = source + length; from < end; ) bytes[to++] = bytes[from++];
}

/** Whether two ranges of the arena hold the same bytes. */
export function equalBytes(bytes: Buffer, view: DataView, a: number, b: number, length: number): boolean {
  if (length >= COMPARE_BUILTIN_BYTES) {
    return bytes.compare(bytes, b, b + length, a, a + length) === 0;
  }
  if (length >= 4) {
    const last = length - 4;
    for (let at = 0; at < last; at += 4) {
      if (view.getInt32(a + at, true) !== view.getInt32(b + at, true)) return false;
    }
    return view.getInt32(a + last, true) === view.getInt32(b + last, true);
  }
  for (let at = 0; at < length; at++) {
    if (bytes[a + at] !== bytes[b + at]) return false;
  }
  return true;
}

/** The most bytes that {@link writeInteger} writes: a sign and 16 digits. */
export const INTEGER_BYTES_MAX = 17;

/**
 * Writes a safe integer in decimal.
 *
 * @param value - An integer, |value| ≤ 2^53 − 1.
 * @returns The position behind the last digit.
 */
export function writeInteger(bytes: Buffer, position: number, value: number): number {
  let at = position;
  let rest = value;
  if (rest < 0) {
    bytes[at++] = 0x2d;
    rest = -rest;
  }
  if (rest >= 1e9) {
    const high = Math.floor(rest / 1e9);
    return writeDigits(bytes, writeDigits(bytes, at, high, digitCount(high)), rest - high * 1e9, 9);
  }
  return writeDigits(bytes, at, rest, digitCount(rest));
}

/** Number of decimal digits of an integer from 0 to 2^31 − 1. */
export function digitCount(value: number): number {
  if (value < 100_000) {
    if (value < 100) return value < 10 ? 1 : 2;
    if (value < 1000) return 3;
    return value < 10_000 ? 4 : 5;
  }
  if (value < 10_000_000) return value < 1_000_000 ? 6 : 7;
  if (value < 100_000_000) return 8;
  return value < 1_000_000_000 ? 9 : 10;
}

function writeDigits(bytes: Buffer, position: number, value: number, digits: number): number {
  let rest = value | 0;
  for (let at = position + digits - 1; at >= position; at--) {
    const tens = (rest / 10) | 0;
    bytes[at] = 0x30 + rest - tens * 10;
    rest = tens;
  }
  return position + digits;
}

/**
 * Reads a signed 64-bit integer in decimal, as Redis accepts it: an optional minus sign and digits without
 * leading zeros, nothing else.
 *
 * @returns The value, rounded to a double where |value| > 2^53; NaN when it is no such number.
 */
export function readInteger(bytes: Buffer, offset: number, length: number): number {
  const end = offset + length;
  const negative = length > 0 && bytes[offset] === 0x2d;
  const first = negative ? offset + 1 : offset;
  if (end - first > 15) return readLongInteger(bytes, offset, length);
  if (end === first || (bytes[first] === 0x30 && length > 1)) return Number.NaN;
  let value = 0;
  for (let at = first; at < end; at++) {
    const digit = bytes[at] - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

function readLongInteger(bytes: Buffer, offset: number, length: number): number {
  const value = readInt64(bytes, offset, length);
  return value === null ? Number.NaN : Number(value);
}

const INT64_DIGITS_MAX = 20;

/** As {@link readInteger}, but exact; null when it is no 64-bit integer. Slow. */
export function readInt64(bytes: Buffer, offset: number, length: number): bigint | null {
  if (length > INT64_DIGITS_MAX) return null;
  const text = bytes.toString('latin1', offset, offset + length);
  if (!/^(?:0|-?[1-9][0-9]*)$/.test(text)) return null;
  const value = BigInt(text);
  return BigInt.asIntN(64, value) === value ? value : null;
}
