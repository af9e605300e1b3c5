import type { SunstarError } from '@sunstar/runtime';
import { alignUp, isAligned } from '../alignment.js';
import { invalidOptionError } from '../errors.js';
import { integerOption } from '../open-options.js';

/** Options of a {@link SegmentAppender}. Sizes are rounded up to whole chunks where they must be. */
export interface SegmentAppenderOptions {
  /**
   * File position of the first byte to append. What the file holds after it is cut off when the appender
   * opens, so that old bytes can never follow new ones.
   *
   * @defaultValue the size of the file
   */
  readonly position?: number;
  /**
   * The file was written before (a retired segment, see {@link SegmentRecycler}): what it holds after `position`
   * stays until it is written over, because overwriting is 2–5 times faster than writing new blocks, and its syncs
   * touch no metadata. After a crash old bytes may follow new ones: records must carry something that differs from
   * one use of the file to the next, an epoch for example, under their checksum.
   *
   * @defaultValue false
   */
  readonly recycle?: boolean;
  /**
   * Size of the memory blocks that bytes are gathered in, and of the largest write: 4 KiB to 32 MiB.
   *
   * @defaultValue 131072
   */
  readonly chunkBytes?: number;
  /**
   * Accepted bytes that may wait for the device, at least two chunks. While there are this many, `hasRoom` is
   * false. One append may go over the limit, so memory in use is at most this much and one record.
   *
   * @defaultValue 4194304
   */
  readonly maxBufferedBytes?: number;
  /**
   * Writes in flight at the same time, 1 to 1024.
   *
   * @defaultValue 16
   */
  readonly maxWritesInFlight?: number;
  /**
   * How much is allocated ahead in one step, before it is needed: makes writes 2–3× faster than on a growing
   * file. Shrinks with the free disk: a step is at most half of this appender's share. 0 never allocates ahead.
   *
   * @defaultValue 33554432
   */
  readonly allocationStepBytes?: number;
  /**
   * How large the file will probably become: no more is allocated until it is larger. 0 for unknown.
   *
   * @defaultValue 0
   */
  readonly segmentBytes?: number;
  /**
   * In how many equal parts the free disk is thought of: the number of appenders that grow at the same time.
   *
   * @defaultValue the number of shards, times the appenders that this shard has open
   */
  readonly diskShares?: number;
  /**
   * Flushes without being asked as soon as this many bytes wait for a flush. 0 never does.
   *
   * @defaultValue 0
   */
  readonly flushBytes?: number;
  /**
   * Flushes without being asked when bytes have waited this long for a flush, up to an eighth earlier. 0 to a day;
   * 0 never does.
   *
   * @defaultValue 0
   */
  readonly flushDelayMs?: number;
  /**
   * How long a flush may wait at most for others to join it, on a device whose syncs are slow; 0 to 1000, 0 never
   * waits. See {@link CommitDelay}.
   *
   * @defaultValue 0
   */
  readonly commitDelayMs?: number;
  /**
   * How far ahead zeros are written while flushes are small: syncs of blocks that were written before write no
   * metadata. 0 never writes zeros.
   *
   * @defaultValue 4194304
   */
  readonly zeroAheadBytes?: number;
  /**
   * Zeros are written ahead only while a flush covers fewer bytes than this on average; larger ones gain less
   * than the second write costs.
   *
   * @defaultValue 131072
   */
  readonly zeroAheadMaxFlushBytes?: number;
  /**
   * Called inside the tick with the new flushed offset, at most once for each sync and before the promises of
   * `flush()` settle. Must not throw.
   */
  readonly onFlushed?: (offset: number) => void;
  /** Called inside the tick when a write or a sync fails. Must not throw. */
  readonly onError?: (error: SunstarError) => void;
}

/** Options with their defaults filled in and checked. */
export interface ResolvedAppenderOptions {
  readonly chunkBytes: number;
  readonly maxBufferedBytes: number;
  readonly maxWritesInFlight: number;
  readonly allocationStepBytes: number;
  readonly segmentBytes: number;
  /** 0: by the number of shards and open appenders. */
  readonly diskShares: number;
  readonly flushBytes: number;
  readonly flushDelayMs: number;
  readonly commitDelayMs: number;
  readonly zeroAheadBytes: number;
  readonly zeroAheadMaxFlushBytes: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const DAY_MS = 86_400_000;

/** Fills in defaults; throws SUNSTAR_INVALID_OPTION. */
export function resolveAppenderOptions(
  options: SegmentAppenderOptions,
  pageBytes: number,
): ResolvedAppenderOptions {
  const chunkBytes = integerOption('chunkBytes', options.chunkBytes ?? 128 * KIB, pageBytes, 32 * MIB);
  if (!isAligned(chunkBytes, pageBytes)) {
    throw invalidOptionError('chunkBytes', chunkBytes, `a multiple of ${pageBytes}`);
  }
  const max = Number.MAX_SAFE_INTEGER;
  const step = integerOption('allocationStepBytes', options.allocationStepBytes ?? 32 * MIB, 0, 1024 * MIB);
  return {
    chunkBytes,
    maxBufferedBytes: integerOption(
      'maxBufferedBytes',
      options.maxBufferedBytes ?? 4 * MIB,
      2 * chunkBytes,
      max,
    ),
    maxWritesInFlight: integerOption('maxWritesInFlight', options.maxWritesInFlight ?? 16, 1, 1024),
    allocationStepBytes: alignUp(step, chunkBytes),
    segmentBytes: alignUp(integerOption('segmentBytes', options.segmentBytes ?? 0, 0, 2 ** 50), chunkBytes),
    diskShares:
      options.diskShares === undefined ? 0 : integerOption('diskShares', options.diskShares, 1, max),
    flushBytes: integerOption('flushBytes', options.flushBytes ?? 0, 0, max),
    flushDelayMs: numberOption('flushDelayMs', options.flushDelayMs ?? 0, DAY_MS),
    commitDelayMs: numberOption('commitDelayMs', options.commitDelayMs ?? 0, 1000),
    zeroAheadBytes: alignUp(
      integerOption('zeroAheadBytes', options.zeroAheadBytes ?? 4 * MIB, 0, 1024 * MIB),
      chunkBytes,
    ),
    zeroAheadMaxFlushBytes: integerOption(
      'zeroAheadMaxFlushBytes',
      options.zeroAheadMaxFlushBytes ?? 128 * KIB,
      0,
      max,
    ),
  };
}

function numberOption(name: string, value: number, max: number): number {
  if (value >= 0 && value <= max) return value;
  throw invalidOptionError(name, value, `a number from 0 to ${max}`);
}
