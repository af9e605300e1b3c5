import { native } from '@sunstar/native';
import { type Chain, following } from './chain.js';
import { checkInteger } from './errors.js';
import { bytesOf } from './region.js';

// CRC-32C (Castagnoli), reflected polynomial 0x82f63b78, as in iSCSI, ext4, Kafka and SSE4.2's CRC32
// instruction. Slicing-by-8: eight table look-ups take in eight bytes at once.
const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;

/** Table `n` (256 entries from `n * 256`) holds the effect of a byte that is followed by `n` zero bytes. */
const TABLE = buildTables();

function buildTables(): Int32Array {
  const table = new Int32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
    table[byte] = value;
  }
  for (let i = 256; i < table.length; i++) {
    const shorter = table[i - 256];
    table[i] = (shorter >>> 8) ^ table[shorter & 0xff];
  }
  return table;
}

/**
 * From this length on the processor's instruction, which runs at the speed of memory, beats the table, which
 * needs no call: a call of the addon costs what the table needs for about 110 bytes (docs/iobuf.md).
 */
const NATIVE_BYTES_MIN = 112;

const instruction = native.crc32c;

/** Whether long runs use the processor's CRC instruction (SSE4.2 or ARMv8). */
export const CRC32C_ACCELERATED: boolean = instruction !== undefined;

/**
 * The CRC-32C of `bytes[start…end)`, as an unsigned 32-bit number. Short ranges by table, longer ones by the
 * processor's instruction where it has one.
 *
 * @param bytes - What to sum.
 * @param start - First index, from 0. @defaultValue 0
 * @param end - Index behind the last byte. @defaultValue `bytes.length`
 * @param seed - The result for the bytes before these, so that a long content can be summed piece by piece:
 *   `crc32c(b, 0, n) === crc32c(b, k, n, crc32c(b, 0, k))`. @defaultValue 0
 * @throws SunstarError SUNSTAR_OUT_OF_RANGE for a range that is not in `bytes`.
 */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length, seed = 0): number {
  checkInteger('end', end, 0, bytes.length);
  checkInteger('start', start, 0, end);
  if (end - start >= NATIVE_BYTES_MIN && instruction !== undefined) {
    const crc = instruction(bytes, start, end, seed >>> 0);
    if (crc >= 0) return crc;
  }
  return crc32cByTable(bytes, start, end, seed);
}

/** As {@link crc32c}, in TypeScript alone. The range must be in `bytes`. */
export function crc32cByTable(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let crc = ~seed;
  let i = start;
  for (const blockEnd = end - 7; i < blockEnd; i += 8) {
    crc =
      TABLE[1792 + ((crc ^ bytes[i]) & 0xff)] ^
      TABLE[1536 + (((crc >>> 8) ^ bytes[i + 1]) & 0xff)] ^
      TABLE[1280 + (((crc >>> 16) ^ bytes[i + 2]) & 0xff)] ^
      TABLE[1024 + ((crc >>> 24) ^ bytes[i + 3])] ^
      TABLE[768 + bytes[i + 4]] ^
      TABLE[512 + bytes[i + 5]] ^
      TABLE[256 + bytes[i + 6]] ^
      TABLE[bytes[i + 7]];
  }
  for (; i < end; i++) crc = TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The CRC-32C of a whole content. */
export function crc32cOfChain(chain: Chain, seed: number): number {
  let crc = seed;
  for (let fragment = chain.head; fragment !== null; fragment = following(chain, fragment)) {
    crc = crc32c(bytesOf(fragment), fragment.start, fragment.end, crc);
  }
  return crc;
}
