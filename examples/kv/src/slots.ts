/** Number of hash slots of Redis Cluster. */
export const SLOT_COUNT = 16_384;

const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

/**
 * Four tables of 256 for CRC16-CCITT (XMODEM: polynomial 0x1021, initial value 0, not reflected): table k gives
 * the effect of a byte that k more bytes follow, so that four bytes cost one step ("slicing by 4").
 */
const TABLES: Uint16Array = makeTables();

function makeTables(): Uint16Array {
  const tables = new Uint16Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x1021);
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const crc = tables[at - 256];
    tables[at] = (crc << 8) ^ tables[crc >>> 8];
  }
  return tables;
}

/** CRC16-CCITT (XMODEM) of a range of bytes, 0 to 65,535. */
export function crc16(bytes: Uint8Array, offset: number, length: number): number {
  const end = offset + length;
  const last = end - 3;
  let crc = 0;
  let at = offset;
  for (; at < last; at += 4) {
    crc =
      TABLES[768 + ((crc >>> 8) ^ bytes[at])] ^
      TABLES[512 + ((crc & 0xff) ^ bytes[at + 1])] ^
      TABLES[256 + bytes[at + 2]] ^
      TABLES[bytes[at + 3]];
  }
  for (; at < end; at++) crc = ((crc & 0xff) << 8) ^ TABLES[(crc >>> 8) ^ bytes[at]];
  return crc;
}

/**
 * The hash slot of a key, as Redis Cluster defines it: CRC16 of the key modulo 16,384; where the key contains
 * `{…}` with something between the first `{` and the first `}` behind it, only that part counts, so that keys
 * with the same hash tag share a slot.
 *
 * @returns 0 to 16,383.
 */
export function slotOf(bytes: Uint8Array, offset: number, length: number): number {
  const end = offset + length;
  for (let open = offset; open < end; open++) {
    if (bytes[open] !== OPENING_BRACE) continue;
    for (let close = open + 1; close < end; close++) {
      if (bytes[close] !== CLOSING_BRACE) continue;
      if (close === open + 1) break;
      return crc16(bytes, open + 1, close - open - 1) & (SLOT_COUNT - 1);
    }
    break;
  }
  return crc16(bytes, offset, length) & (SLOT_COUNT - 1);
}

/** The shard that owns a slot: each of `shardCount` shards has one contiguous range, their sizes equal to within one. */
export function shardOfSlot(slot: number, shardCount: number): number {
  return Math.floor((slot * shardCount) / SLOT_COUNT);
}

/** The first slot of a shard's range; its last is one before the first of the next shard. */
export function firstSlotOf(shard: number, shardCount: number): number {
  return Math.ceil((shard * SLOT_COUNT) / shardCount);
}
