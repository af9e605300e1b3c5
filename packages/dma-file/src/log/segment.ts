import { SegmentAppender } from '../appender/segment-appender.js';
import { operate } from '../operate.js';
import { BATCH_HEADER_BYTES } from './batch.js';
import { FileWindow } from './file-window.js';
import { indexName, segmentName, TEMPORARY_INDEX } from './segment-names.js';
import { type ScannedSegment, scanSegment } from './segment-scan.js';
import type { SegmentStorage } from './segment-storage.js';
import { SparseIndex } from './sparse-index.js';

/** A larger index is not read: the segment is read instead. */
const INDEX_BYTES_MAX = 16 * 1024 * 1024;

/** One file of a log, complete or still growing. */
export class Segment {
  readonly baseSequence: number;
  readonly epoch: number;
  readonly index: SparseIndex;
  /** File position behind the last batch. */
  endBytes: number;
  /** Sequence number behind the last record. */
  nextSequence: number;
  /** Time of the newest batch. */
  timeMs: number;
  /** Reads in progress: the file is not written again before they end. */
  readers = 0;
  isDropped = false;
  /** Its index is saved. */
  hasIndex = false;

  constructor(baseSequence: number, epoch: number, index: SparseIndex, timeMs: number) {
    this.baseSequence = baseSequence;
    this.epoch = epoch;
    this.index = index;
    this.endBytes = BATCH_HEADER_BYTES;
    this.nextSequence = baseSequence;
    this.timeMs = timeMs;
  }

  get name(): string {
    return segmentName(this.baseSequence);
  }

  /** A segment that recovery has found. */
  static found(baseSequence: number, scanned: ScannedSegment): Segment {
    const segment = new Segment(baseSequence, scanned.epoch, scanned.index, scanned.timeMs);
    segment.endBytes = scanned.endBytes;
    segment.nextSequence = scanned.nextSequence;
    return segment;
  }
}

/** How segments are recovered. */
export interface RecoveryOptions {
  readonly maxBatchBytes: number;
  readonly indexIntervalBytes: number;
}

/** What a segment has: from its saved index, which also says that it is complete, or by reading all of it. */
export async function recoverSegment(
  storage: SegmentStorage,
  names: ReadonlySet<string>,
  baseSequence: number,
  options: RecoveryOptions,
): Promise<Segment | null> {
  if (names.has(indexName(baseSequence))) {
    const saved = SparseIndex.decode(await readFile(storage, indexName(baseSequence)));
    if (saved !== null && saved.baseSequence === baseSequence) {
      const segment = Segment.found(baseSequence, saved);
      segment.hasIndex = true;
      return segment;
    }
  }
  const file = await storage.open(segmentName(baseSequence), false);
  try {
    using window = new FileWindow(file);
    const { maxBatchBytes, indexIntervalBytes } = options;
    const scanned = await scanSegment(window, baseSequence, maxBatchBytes, indexIntervalBytes);
    if (scanned === null) return null;
    // Whoever wrote it may have died before the sync, and what follows it says that all of it is durable.
    await operate('fdatasync', file.path, (done) => file.submitSync(done));
    return Segment.found(baseSequence, scanned);
  } finally {
    await file.close();
  }
}

/** Saves the index of a segment that is complete and durable. */
export async function saveIndex(storage: SegmentStorage, segment: Segment): Promise<void> {
  const bytes = segment.index.encode(segment.baseSequence, segment.epoch, segment);
  const file = await storage.open(TEMPORARY_INDEX, true);
  const appender = await SegmentAppender.open(file, {
    position: 0,
    allocationStepBytes: 0,
    zeroAheadBytes: 0,
  });
  try {
    await appender.write(bytes);
  } finally {
    await appender.close();
  }
  await storage.rename(TEMPORARY_INDEX, indexName(segment.baseSequence));
}

async function readFile(storage: SegmentStorage, name: string): Promise<Buffer> {
  const file = await storage.open(name, false);
  try {
    using window = new FileWindow(file);
    const size = Math.min(await file.size(), INDEX_BYTES_MAX);
    // A copy: the window's memory goes with it.
    return Buffer.from(await window.read(0, size));
  } finally {
    await file.close();
  }
}
