import { outOfRangeError } from './errors.js';

// Unsigned LEB128, as in Protocol Buffers: seven bits a byte, the lowest first, the top bit says "more
// follows". Signed numbers go through zig-zag (0, −1, 1, −2 … → 0, 1, 2, 3 …), as in Protocol Buffers and Kafka.

/** 64 bits take at most this many bytes. */
export const VARINT_BYTES_MAX = 10;
/** From here on numbers outgrow the bit operators. */
const BIT_OPERATORS_MAX = 0x7fff_ffff;
/** The largest number whose zig-zag form is exact. */
const ZIG_ZAG_MAX = 2 ** 52 - 1;

/** How many bytes an unsigned number takes. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** How many bytes an unsigned bigint takes. */
export function bigVarintBytes(value: bigint): number {
  let bytes = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) bytes++;
  return bytes;
}

/** Stores a checked unsigned number in exactly `sizeBytes` bytes, which must be enough. */
export function setVarint(bytes: Uint8Array, at: number, value: number, sizeBytes: number): void {
  const last = at + sizeBytes - 1;
  let rest = value;
  let to = at;
  while (rest > BIT_OPERATORS_MAX) {
    bytes[to++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  for (; to < last; rest >>>= 7) bytes[to++] = (rest & 0x7f) | 0x80;
  bytes[last] = rest;
}

/** As {@link setVarint}, for a bigint. */
export function setBigVarint(bytes: Uint8Array, at: number, value: bigint, sizeBytes: number): void {
  const last = at + sizeBytes - 1;
  let rest = value;
  for (let to = at; to < last; to++) {
    bytes[to] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  bytes[last] = Number(rest);
}

/** The zig-zag form of an integer from −2^52 to 2^52 − 1. */
export function zigZag(value: number): number {
  if (
    typeof value !== 'number' ||
    !(value >= -ZIG_ZAG_MAX - 1 && value <= ZIG_ZAG_MAX) ||
    Math.floor(value) !== value
  ) {
    throw outOfRangeError('value', value, -ZIG_ZAG_MAX - 1, ZIG_ZAG_MAX);
  }
  return value >= 0 ? value * 2 : -value * 2 - 1;
}

/** The number whose zig-zag form this is. */
export function unZigZag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** The zig-zag form of a checked signed 64-bit bigint. */
export function bigZigZag(value: bigint): bigint {
  return value >= 0n ? value << 1n : (-value << 1n) - 1n;
}

/** The bigint whose zig-zag form this is. */
export function bigUnZigZag(value: bigint): bigint {
  return (value & 1n) === 0n ? value >> 1n : -((value + 1n) >> 1n);
}
