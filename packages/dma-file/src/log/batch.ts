import { crc32c } from '@sunstar/iobuf';

/**
 * A batch in a segment, little endian:
 *
 * ```text
 * u32 magic · u32 crc32c of all that follows · u32 payload bytes · u32 records · u64 sequence of the first record ·
 * u32 epoch of the segment · u32 kind · f64 time, milliseconds since the epoch · payload
 * ```
 *
 * The epoch differs from one use of a file to the next, so bytes of its former life are no batches.
 */
export const BATCH_HEADER_BYTES = 40;

/** What a batch is. */
export const BATCH_KIND = {
  /** Records of the user. */
  data: 0,
  /** The first one in a segment: no records, no payload. */
  segment: 1,
} as const;

const MAGIC = 0x31424c53;
const CRC_AT = 4;
const CRC_FROM = 8;
const TWO_32 = 2 ** 32;

/** The header of a batch. */
export interface BatchHeader {
  readonly payloadBytes: number;
  readonly records: number;
  /** Sequence number of the first record. */
  readonly sequence: number;
  readonly epoch: number;
  readonly kind: number;
  readonly timeMs: number;
}

/** Writes a header, without its checksum, to the beginning of `bytes`. */
export function writeHeader(bytes: Buffer, header: BatchHeader): void {
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(0, CRC_AT);
  bytes.writeUInt32LE(header.payloadBytes, 8);
  bytes.writeUInt32LE(header.records, 12);
  bytes.writeUInt32LE(header.sequence % TWO_32, 16);
  bytes.writeUInt32LE(Math.floor(header.sequence / TWO_32), 20);
  bytes.writeUInt32LE(header.epoch, 24);
  bytes.writeUInt32LE(header.kind, 28);
  bytes.writeDoubleLE(header.timeMs, 32);
}

/** Starts the checksum: of the header behind it. The payload's pieces follow, with this as their seed. */
export function headerChecksum(bytes: Buffer): number {
  return crc32c(bytes, CRC_FROM, BATCH_HEADER_BYTES);
}

/** Completes a header. */
export function writeChecksum(bytes: Buffer, checksum: number): void {
  bytes.writeUInt32LE(checksum, CRC_AT);
}

/** The header at the beginning of `bytes`; null when there is none. What it says is not to be trusted yet. */
export function readHeader(bytes: Buffer): BatchHeader | null {
  if (bytes.length < BATCH_HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) return null;
  return {
    payloadBytes: bytes.readUInt32LE(8),
    records: bytes.readUInt32LE(12),
    sequence: bytes.readUInt32LE(16) + bytes.readUInt32LE(20) * TWO_32,
    epoch: bytes.readUInt32LE(24),
    kind: bytes.readUInt32LE(28),
    timeMs: bytes.readDoubleLE(32),
  };
}

/** Whether the checksum of a whole batch is right. */
export function isIntact(batch: Buffer): boolean {
  return crc32c(batch, CRC_FROM, batch.length) === batch.readUInt32LE(CRC_AT);
}
