import type { IOBuf } from '@sunstar/iobuf';
import { checkOffset } from './errors.js';
import type { FileReadOptions } from './io-options.js';
import { integerOption } from './open-options.js';

/** A part of a file. */
export interface FileRange {
  readonly position: number;
  readonly length: number;
}

/** One answer of a read of many ranges. */
export interface RangeContent extends FileRange {
  /** Which of the ranges it is, from 0. */
  readonly index: number;
  /** Shorter at the end of the file. Whoever gets it disposes it. */
  readonly content: IOBuf;
}

/** How many ranges are read together. */
export interface ReadManyOptions extends FileReadOptions {
  /** Bytes of one read that serves several ranges, 0 to 16 MiB; 0 merges nothing. @defaultValue 131072 */
  readonly maxMergedBytes?: number;
  /**
   * Bytes between two ranges that are read, although nobody asked for them, to make one read of two; 0 to 16 MiB.
   * This limits how much more is read than was asked for.
   *
   * @defaultValue 4096
   */
  readonly maxGapBytes?: number;
  /** Reads under way at the same time, 1 to 1024. @defaultValue 16 */
  readonly concurrency?: number;
}

/** What reads; a `DmaFile` is one. */
export interface RangeReader {
  /** As `DmaFile.read`. */
  read(position: number, length: number, options?: FileReadOptions): Promise<IOBuf>;
}

const MAX_BYTES = 16_777_216;

/** Ranges that one read serves. */
interface Merged {
  readonly start: number;
  end: number;
  readonly ranges: FileRange[];
}

/** A read under way. */
interface Running {
  readonly merged: Merged;
  readonly firstIndex: number;
  readonly reading: Promise<IOBuf>;
}

/**
 * Reads many ranges of a file, several at the same time, and gives the contents in the order of the ranges. Ranges
 * that follow each other in rising order, overlap, or have little between them become one read: sort them to read
 * the least.
 *
 * After Glommio's `read_many`, with its limits of merging and of read amplification.
 */
export async function* readMany(
  file: RangeReader,
  ranges: Iterable<FileRange> | AsyncIterable<FileRange>,
  options: ReadManyOptions = {},
): AsyncGenerator<RangeContent, void, undefined> {
  const { signal, deadlineMs, memory } = options;
  const concurrency = integerOption('concurrency', options.concurrency ?? 16, 1, 1024);
  const maxMergedBytes = integerOption('maxMergedBytes', options.maxMergedBytes ?? 131_072, 0, MAX_BYTES);
  const maxGapBytes = integerOption('maxGapBytes', options.maxGapBytes ?? 4096, 0, MAX_BYTES);
  // Ends what still waits for its turn when the caller goes no further.
  const ending = new AbortController();
  const readOptions: FileReadOptions = {
    signal: signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal]),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(memory === undefined ? {} : { memory }),
  };
  const running: Running[] = [];
  let asked = 0;
  const start = (merged: Merged): void => {
    const reading = file.read(merged.start, merged.end - merged.start, readOptions);
    // Looked at in its turn, which may come after it has failed.
    reading.catch(() => undefined);
    running.push({ merged, firstIndex: asked, reading });
    asked += merged.ranges.length;
  };
  try {
    for await (const merged of mergeRanges(ranges, maxMergedBytes, maxGapBytes)) {
      if (running.length === concurrency) yield* deliver(running);
      start(merged);
    }
    while (running.length > 0) yield* deliver(running);
  } finally {
    ending.abort();
    for (const { reading } of running) {
      const [outcome] = await Promise.allSettled([reading]);
      if (outcome.status === 'fulfilled') outcome.value[Symbol.dispose]();
    }
  }
}

/** The contents of the read that was started first. */
async function* deliver(running: Running[]): AsyncGenerator<RangeContent, void, undefined> {
  const { merged, firstIndex, reading } = running[0];
  using whole = await reading;
  running.shift();
  for (const [at, { position, length }] of merged.ranges.entries()) {
    const from = Math.min(position - merged.start, whole.sizeBytes);
    const content = whole.share(from, Math.min(length, whole.sizeBytes - from));
    yield { index: firstIndex + at, position, length, content };
  }
}

/** Joins ranges that follow each other within the limits. */
async function* mergeRanges(
  ranges: Iterable<FileRange> | AsyncIterable<FileRange>,
  maxMergedBytes: number,
  maxGapBytes: number,
): AsyncGenerator<Merged, void, undefined> {
  let merged: Merged | null = null;
  for await (const range of ranges) {
    const { position, length } = range;
    checkOffset('The position', position);
    checkOffset('The length', length);
    const end = position + length;
    const fits =
      merged !== null &&
      position >= merged.start &&
      position - merged.end <= maxGapBytes &&
      Math.max(end, merged.end) - merged.start <= maxMergedBytes;
    if (merged !== null && fits) {
      merged.end = Math.max(end, merged.end);
      merged.ranges.push(range);
    } else {
      if (merged !== null) yield merged;
      merged = { start: position, end, ranges: [range] };
    }
  }
  if (merged !== null) yield merged;
}
