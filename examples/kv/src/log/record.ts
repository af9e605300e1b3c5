import { crc32c } from '@sunstar/iobuf';

/**
 * The log's format. All numbers are little-endian.
 *
 * ```
 * file      = header record*
 * header    = "SUNSTKV1" u32:kind u32:shard u32:shardCount u32:epoch f64:number f64:createdAtMs u32:nonce u32:crc
 * record    = u32:crc u32:bodyBytes body
 * body      = operation+                      all of a record's operations take effect, or none
 * operation = 1 u32:keyBytes u32:valueBytes key value                  SET without expiry
 *           | 2 u32:keyBytes u32:valueBytes f64:expireAtMs key value   SET with expiry
 *           | 3 u32:keyBytes key                                       DEL
 *           | 4 u32:keyBytes f64:expireAtMs key                        EXPIRE; 0 removes the expiry
 *           | 5                                                        FLUSH: all keys are deleted
 *           | 6 f64:records                                            SEAL: the file is complete
 * ```
 *
 * A record's checksum covers everything behind it and begins with the header's checksum, in which number, epoch and
 * a random nonce are mixed. Bytes that an earlier use of the same disk blocks left behind, or a preallocated range of
 * zeros, therefore never pass for a record.
 */
export const OPERATION = { SET: 1, SET_EXPIRING: 2, DELETE: 3, EXPIRE: 4, FLUSH: 5, SEAL: 6 } as const;

/** What a file of the log is for. */
export const FILE_KIND = { SEGMENT: 1, BASE: 2 } as const;

export const HEADER_BYTES = 48;
/** Bytes before a record's body. */
export const FRAME_BYTES = 8;
/** The largest body: above what one command can write, and a bound for a reader that meets garbage. */
export const BODY_BYTES_MAX: number = 1 << 30;
/** The longest operation without its key and value. */
export const OPERATION_BYTES_MAX = 17;

const MAGIC = Buffer.from('SUNSTKV1', 'latin1');

/** What the beginning of a file says about it. */
export interface FileHeader {
  readonly kind: number;
  readonly shard: number;
  readonly shardCount: number;
  readonly epoch: number;
  readonly number: number;
  readonly createdAtMs: number;
  /** Random: tells two uses of one file name apart. */
  readonly nonce: number;
}

/** Writes a header; returns the seed of the checksums of the file's records. */
export function writeHeader(bytes: Buffer, at: number, header: FileHeader): number {
  bytes.set(MAGIC, at);
  bytes.writeUInt32LE(header.kind, at + 8);
  bytes.writeUInt32LE(header.shard, at + 12);
  bytes.writeUInt32LE(header.shardCount, at + 16);
  bytes.writeUInt32LE(header.epoch, at + 20);
  bytes.writeDoubleLE(header.number, at + 24);
  bytes.writeDoubleLE(header.createdAtMs, at + 32);
  bytes.writeUInt32LE(header.nonce >>> 0, at + 40);
  const crc = crc32c(bytes, at, at + HEADER_BYTES - 4);
  bytes.writeUInt32LE(crc, at + HEADER_BYTES - 4);
  return crc;
}

/** The header at a position and the seed of its records; undefined when there is no valid one. */
export function readHeader(bytes: Buffer, at: number): (FileHeader & { readonly seed: number }) | undefined {
  if (bytes.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) !== 0) return undefined;
  const seed = crc32c(bytes, at, at + HEADER_BYTES - 4);
  if (bytes.readUInt32LE(at + HEADER_BYTES - 4) !== seed) return undefined;
  return {
    kind: bytes.readUInt32LE(at + 8),
    shard: bytes.readUInt32LE(at + 12),
    shardCount: bytes.readUInt32LE(at + 16),
    epoch: bytes.readUInt32LE(at + 20),
    number: bytes.readDoubleLE(at + 24),
    createdAtMs: bytes.readDoubleLE(at + 32),
    nonce: bytes.readUInt32LE(at + 40),
    seed,
  };
}

/** Writes what comes before the body of a record. The body must be complete. */
export function writeFrame(bytes: Buffer, view: DataView, at: number, bodyBytes: number, seed: number): void {
  view.setUint32(at + 4, bodyBytes, true);
  view.setUint32(at, crc32c(bytes, at + 4, at + FRAME_BYTES + bodyBytes, seed), true);
}

/** Writes a SET up to its key; `expireAtMs` 0 means that it does not expire. Returns the position behind. */
export function writeSet(
  view: DataView,
  at: number,
  keyBytes: number,
  valueBytes: number,
  expireAtMs: number,
): number {
  view.setUint8(at, expireAtMs === 0 ? OPERATION.SET : OPERATION.SET_EXPIRING);
  view.setUint32(at + 1, keyBytes, true);
  view.setUint32(at + 5, valueBytes, true);
  if (expireAtMs === 0) return at + 9;
  view.setFloat64(at + 9, expireAtMs, true);
  return at + 17;
}

/** Writes a DEL up to its key. Returns the position behind. */
export function writeDelete(view: DataView, at: number, keyBytes: number): number {
  view.setUint8(at, OPERATION.DELETE);
  view.setUint32(at + 1, keyBytes, true);
  return at + 5;
}

/** Writes an EXPIRE up to its key. Returns the position behind. */
export function writeExpire(view: DataView, at: number, keyBytes: number, expireAtMs: number): number {
  view.setUint8(at, OPERATION.EXPIRE);
  view.setUint32(at + 1, keyBytes, true);
  view.setFloat64(at + 5, expireAtMs, true);
  return at + 13;
}

/** Writes a FLUSH. Returns the position behind. */
export function writeFlush(view: DataView, at: number): number {
  view.setUint8(at, OPERATION.FLUSH);
  return at + 1;
}

/** Writes a SEAL. Returns the position behind. */
export function writeSeal(view: DataView, at: number, records: number): number {
  view.setUint8(at, OPERATION.SEAL);
  view.setFloat64(at + 1, records, true);
  return at + 9;
}

/** Receives the operations of valid records, in order. Offsets are into the bytes that were decoded. */
export interface LogSink {
  set(keyOffset: number, keyBytes: number, valueOffset: number, valueBytes: number, expireAtMs: number): void;
  delete(keyOffset: number, keyBytes: number): void;
  expire(keyOffset: number, keyBytes: number, expireAtMs: number): void;
  flush(): void;
}

/** What {@link decodeBody} returns: the body is not one of ours although its checksum is right. */
export const MALFORMED = -1;

/**
 * Whether a body is well-formed: checked before any of its operations is applied, so that a record takes effect as a
 * whole or not at all.
 *
 * @returns The record count of its SEAL, 0 when it has none, MALFORMED when it is not well-formed.
 */
function checkBody(view: DataView, start: number, end: number): number {
  let seal = 0;
  for (let at = start; at < end; ) {
    if (seal !== 0) return MALFORMED;
    const room = end - at;
    switch (view.getUint8(at)) {
      case OPERATION.SET:
        if (room < 9) return MALFORMED;
        at += 9 + view.getUint32(at + 1, true) + view.getUint32(at + 5, true);
        break;
      case OPERATION.SET_EXPIRING:
        if (room < 17) return MALFORMED;
        at += 17 + view.getUint32(at + 1, true) + view.getUint32(at + 5, true);
        break;
      case OPERATION.DELETE:
        if (room < 5) return MALFORMED;
        at += 5 + view.getUint32(at + 1, true);
        break;
      case OPERATION.EXPIRE:
        if (room < 13) return MALFORMED;
        at += 13 + view.getUint32(at + 1, true);
        break;
      case OPERATION.FLUSH:
        at += 1;
        break;
      case OPERATION.SEAL:
        if (room < 9) return MALFORMED;
        seal = 1 + view.getFloat64(at + 1, true);
        at += 9;
        break;
      default:
        return MALFORMED;
    }
    if (at > end) return MALFORMED;
  }
  return seal;
}

/**
 * Applies the operations of one body whose checksum was right.
 *
 * @returns 0; 1 and the number of records before it when it is a SEAL; MALFORMED, with nothing applied.
 */
export function decodeBody(view: DataView, start: number, end: number, sink: LogSink): number {
  const seal = checkBody(view, start, end);
  if (seal !== 0) return seal;
  for (let at = start; at < end; ) {
    const keyBytes = at + 5 <= end ? view.getUint32(at + 1, true) : 0;
    switch (view.getUint8(at)) {
      case OPERATION.SET: {
        const valueBytes = view.getUint32(at + 5, true);
        sink.set(at + 9, keyBytes, at + 9 + keyBytes, valueBytes, 0);
        at += 9 + keyBytes + valueBytes;
        break;
      }
      case OPERATION.SET_EXPIRING: {
        const valueBytes = view.getUint32(at + 5, true);
        sink.set(at + 17, keyBytes, at + 17 + keyBytes, valueBytes, view.getFloat64(at + 9, true));
        at += 17 + keyBytes + valueBytes;
        break;
      }
      case OPERATION.DELETE:
        sink.delete(at + 5, keyBytes);
        at += 5 + keyBytes;
        break;
      case OPERATION.EXPIRE:
        sink.expire(at + 13, keyBytes, view.getFloat64(at + 5, true));
        at += 13 + keyBytes;
        break;
      default:
        sink.flush();
        at += 1;
    }
  }
  return 0;
}
