import { corruptLogError } from '../errors.js';
import { BATCH_HEADER_BYTES } from './batch.js';
import { FileWindow } from './file-window.js';
import type { Segment } from './segment.js';
import { readBatch } from './segment-scan.js';
import type { SegmentStorage } from './segment-storage.js';

/** A batch of records as it was appended. */
export interface LogBatch {
  /** Sequence number of its first record. */
  readonly sequence: number;
  readonly records: number;
  /** When it was appended, in milliseconds since the epoch. */
  readonly timeMs: number;
  /** The reader's own copy. */
  readonly payload: Buffer;
}

/** What a reader needs to know of its log. */
export interface ReadableLog {
  readonly storage: SegmentStorage;
  readonly maxBatchBytes: number;
  readonly firstSequence: number;
  /** Sequence number behind the last record that may be read. */
  readonly durableSequence: number;
  /** The segment that has a record; the oldest one for a record that is gone. */
  segmentAt(sequence: number): Segment;
  /** File position up to which a segment may be read. */
  readableBytes(segment: Segment): number;
}

/** Reads the durable batches from the one that has a record on, oldest first; ends where the log is not durable yet. */
export async function* readLog(log: ReadableLog, fromSequence: number): AsyncGenerator<LogBatch, void> {
  let next = Math.max(fromSequence, log.firstSequence);
  while (next < log.durableSequence) {
    const segment = log.segmentAt(next);
    segment.readers++;
    try {
      next = yield* readSegment(log, segment, Math.max(next, segment.baseSequence));
    } catch (error) {
      // Retention was faster.
      if (!segment.isDropped) throw error;
      next = Math.max(next, log.firstSequence);
    } finally {
      segment.readers--;
    }
  }
}

async function* readSegment(
  log: ReadableLog,
  segment: Segment,
  fromSequence: number,
): AsyncGenerator<LogBatch, number> {
  const { epoch, index } = segment;
  const { maxBatchBytes } = log;
  const entry = index.floor(fromSequence);
  let position = entry < 0 ? BATCH_HEADER_BYTES : index.positionOf(entry);
  let sequence = entry < 0 ? segment.baseSequence : index.sequenceOf(entry);
  let readable = 0;
  const file = await log.storage.open(segment.name, false);
  const window = new FileWindow(file);
  try {
    while (position < log.readableBytes(segment)) {
      // What the window has may have been read before the file grew.
      if (readable !== log.readableBytes(segment)) window.invalidate();
      readable = log.readableBytes(segment);
      const batch = await readBatch(window, position, { epoch, sequence, maxBatchBytes });
      if (batch === null) throw corruptLogError(segment.name, position);
      const { header, bytes } = batch;
      position += bytes.length;
      sequence += header.records;
      if (sequence <= fromSequence) continue;
      const payload = Buffer.from(bytes.subarray(BATCH_HEADER_BYTES));
      yield { sequence: header.sequence, records: header.records, timeMs: header.timeMs, payload };
    }
    return Math.max(sequence, fromSequence);
  } finally {
    window[Symbol.dispose]();
    await file.close();
  }
}
