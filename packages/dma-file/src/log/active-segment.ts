import { randomBytes } from 'node:crypto';
import { SegmentAppender } from '../appender/segment-appender.js';
import { BATCH_HEADER_BYTES, BATCH_KIND, headerChecksum, writeChecksum, writeHeader } from './batch.js';
import { DurableMarks } from './durable-marks.js';
import type { ResolvedLogOptions } from './log-options.js';
import { Segment } from './segment.js';
import type { SegmentRecycler } from './segment-recycler.js';
import type { SegmentStorage } from './segment-storage.js';
import { SparseIndex } from './sparse-index.js';

/** A segment that takes batches. */
export interface ActiveSegment {
  readonly segment: Segment;
  readonly appender: SegmentAppender;
  readonly marks: DurableMarks;
}

/** Begins a segment: its file has its name and its header, durably. */
export async function beginSegment(
  storage: SegmentStorage,
  recycler: SegmentRecycler,
  options: ResolvedLogOptions,
  baseSequence: number,
): Promise<{ active: ActiveSegment; isRecycled: boolean }> {
  const marks = new DurableMarks(baseSequence);
  const epoch = randomBytes(4).readUInt32LE(0);
  const timeMs = options.now();
  const segment = new Segment(baseSequence, epoch, new SparseIndex(options.indexIntervalBytes), timeMs);
  const header = Buffer.alloc(BATCH_HEADER_BYTES);
  writeHeader(header, {
    payloadBytes: 0,
    records: 0,
    sequence: baseSequence,
    epoch,
    kind: BATCH_KIND.segment,
    timeMs,
  });
  writeChecksum(header, headerChecksum(header));
  let appender: SegmentAppender | null = null;
  try {
    const { file, isRecycled } = await recycler.take(segment.name);
    appender = await SegmentAppender.open(file, {
      ...options.appender,
      position: 0,
      recycle: isRecycled,
      segmentBytes: options.segmentBytes,
      onFlushed: (offset) => marks.flushed(offset),
    });
    appender.append(header);
    await appender.flush();
    return { active: { segment, appender, marks }, isRecycled };
  } catch (error) {
    await discardSegment(storage, segment.name, appender);
    throw error;
  }
}

/**
 * Takes a segment away that has no batch, after an error that is reported elsewhere. What fails here is not worth
 * another one: recovery knows a segment that was begun for nothing, as long as the one before it is there.
 */
export async function discardSegment(
  storage: SegmentStorage,
  name: string,
  appender: SegmentAppender | null,
): Promise<void> {
  await appender?.close().catch(() => undefined);
  await storage.remove(name).catch(() => undefined);
}
