import { BATCH_HEADER_BYTES, BATCH_KIND, type BatchHeader, isIntact, readHeader } from './batch.js';
import type { FileWindow } from './file-window.js';
import { type SegmentEnd, SparseIndex } from './sparse-index.js';

/** A batch that was read. */
export interface ScannedBatch {
  readonly header: BatchHeader;
  /** Header and payload; a view that is valid until the next read. */
  readonly bytes: Buffer;
}

/** What may follow at a place in a segment. */
export interface Expectation {
  readonly epoch: number;
  readonly sequence: number;
  readonly maxBatchBytes: number;
}

/** The batch at a file position, if there is an intact one that belongs there. */
export async function readBatch(
  window: FileWindow,
  position: number,
  expected: Expectation,
): Promise<ScannedBatch | null> {
  const header = readHeader(await window.read(position, BATCH_HEADER_BYTES));
  if (header === null || header.epoch !== expected.epoch || header.sequence !== expected.sequence)
    return null;
  if (header.payloadBytes > expected.maxBatchBytes) return null;
  const sizeBytes = BATCH_HEADER_BYTES + header.payloadBytes;
  const bytes = await window.read(position, sizeBytes);
  return bytes.length === sizeBytes && isIntact(bytes) ? { header, bytes } : null;
}

/** What recovery found in a segment. */
export interface ScannedSegment extends SegmentEnd {
  readonly epoch: number;
  readonly index: SparseIndex;
}

/**
 * Reads a segment from its beginning to the first batch that is torn, missing or of a former life of the file, and
 * rebuilds its index. Null when it does not even begin.
 */
export async function scanSegment(
  window: FileWindow,
  baseSequence: number,
  maxBatchBytes: number,
  intervalBytes: number,
): Promise<ScannedSegment | null> {
  const first = readHeader(await window.read(0, BATCH_HEADER_BYTES));
  if (first === null || first.kind !== BATCH_KIND.segment || first.payloadBytes !== 0) return null;
  const { epoch } = first;
  if ((await readBatch(window, 0, { epoch, sequence: baseSequence, maxBatchBytes })) === null) return null;
  const index = new SparseIndex(intervalBytes);
  let { timeMs } = first;
  let endBytes = BATCH_HEADER_BYTES;
  let nextSequence = baseSequence;
  for (;;) {
    const batch = await readBatch(window, endBytes, { epoch, sequence: nextSequence, maxBatchBytes });
    if (batch === null || batch.header.kind !== BATCH_KIND.data) break;
    index.add(nextSequence, endBytes);
    endBytes += batch.bytes.length;
    nextSequence += batch.header.records;
    timeMs = batch.header.timeMs;
  }
  return { epoch, index, endBytes, nextSequence, timeMs };
}
