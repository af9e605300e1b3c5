import { randomBytes } from 'node:crypto';
import { SegmentAppender } from '../appender/segment-appender.js';
import { BATCH_HEADER_BYTES, BATCH_KIND, headerChecksum, writeChecksum, writeHeader } from './batch.js';
import { DurableMarks } from './durable-marks.js';
import type { ResolvedLogOptions } from './log-options.js';
import { Segment } from './segment.js';
import { segmentName } from './segment-names.js';
import type { SegmentRecycler } from './segment-recycler.js';
import { SparseIndex } from './sparse-index.js';

/** A segment that takes batches. */
export interface ActiveSegment {
  readonly segment: Segment;
  readonly appender: SegmentAppender;
  readonly marks: DurableMarks;
}

/** Begins a segment: its file has its name and its header, durably. */
export async function beginSegment(
  recycler: SegmentRecycler,
  options: ResolvedLogOptions,
  baseSequence: number,
): Promise<{ active: ActiveSegment; isRecycled: boolean }> {
  const marks = new DurableMarks(baseSequence);
  const { file, isRecycled } = await recycler.take(segmentName(baseSequence));
  const appender = await SegmentAppender.open(file, {
    ...options.appender,
    position: 0,
    recycle: isRecycled,
    segmentBytes: options.segmentBytes,
    onFlushed: (offset) => marks.flushed(offset),
  });
  const epoch = randomBytes(4).readUInt32LE(0);
  const timeMs = options.now();
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
  try {
    appender.append(header);
    await appender.flush();
  } catch (error) {
    await appender.close().catch(() => undefined);
    throw error;
  }
  const segment = new Segment(baseSequence, epoch, new SparseIndex(options.indexIntervalBytes), timeMs);
  return { active: { segment, appender, marks }, isRecycled };
}
