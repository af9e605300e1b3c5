import type { SegmentAppenderOptions } from '../appender/options.js';
import { invalidOptionError } from '../errors.js';
import { integerOption } from '../open-options.js';

/** Options of a {@link Log}. */
export interface LogOptions {
  /**
   * Size at which the next segment begins, 64 KiB to 1 TiB. A batch that is larger has a segment of its own.
   *
   * @defaultValue 134217728
   */
  readonly segmentBytes?: number;
  /**
   * Largest batch, 1 byte to 64 MiB; a larger one is refused with SUNSTAR_BATCH_TOO_LARGE. Keep it when the log is
   * opened again: recovery takes a larger one for garbage.
   *
   * @defaultValue 1048576
   */
  readonly maxBatchBytes?: number;
  /**
   * Distance of the entries of the index, 1 KiB to 1 GiB.
   *
   * @defaultValue 32768
   */
  readonly indexIntervalBytes?: number;
  /**
   * Size of the whole log at which the oldest segments go. 0 keeps all.
   *
   * @defaultValue 0
   */
  readonly retentionBytes?: number;
  /**
   * Age of its newest batch at which a segment goes. 0 keeps all.
   *
   * @defaultValue 0
   */
  readonly retentionMs?: number;
  /**
   * Files of retired segments that are kept to be written again, 0 to 10,000: see {@link SegmentRecycler}.
   *
   * @defaultValue 2
   */
  readonly maxRecycled?: number;
  /**
   * Batches that may wait for room or for the next segment, 1 to 1048576; one more is refused with SUNSTAR_LOG_FULL.
   *
   * @defaultValue 65536
   */
  readonly maxWaiting?: number;
  /**
   * Sequence number of the first record of a log that is empty.
   *
   * @defaultValue 0
   */
  readonly firstSequence?: number;
  /** How segments are written. */
  readonly appender?: Omit<
    SegmentAppenderOptions,
    'position' | 'recycle' | 'segmentBytes' | 'onFlushed' | 'onError'
  >;
  /** What the time of a batch is, in milliseconds since the epoch. @defaultValue Date.now */
  readonly now?: () => number;
}

/** Options with their defaults filled in and checked. */
export type ResolvedLogOptions = Required<LogOptions>;

const KIB = 1024;
const MIB = 1024 * KIB;
const YEARS_MS = 1e13;

/** Fills in defaults; throws SUNSTAR_INVALID_OPTION. */
export function resolveLogOptions(options: LogOptions): ResolvedLogOptions {
  const max = Number.MAX_SAFE_INTEGER;
  const retentionMs = options.retentionMs ?? 0;
  if (!(retentionMs >= 0 && retentionMs <= YEARS_MS)) {
    throw invalidOptionError('retentionMs', retentionMs, `a number from 0 to ${YEARS_MS}`);
  }
  return {
    segmentBytes: integerOption('segmentBytes', options.segmentBytes ?? 128 * MIB, 64 * KIB, 2 ** 40),
    maxBatchBytes: integerOption('maxBatchBytes', options.maxBatchBytes ?? MIB, 1, 64 * MIB),
    indexIntervalBytes: integerOption(
      'indexIntervalBytes',
      options.indexIntervalBytes ?? 32 * KIB,
      KIB,
      1024 * MIB,
    ),
    retentionBytes: integerOption('retentionBytes', options.retentionBytes ?? 0, 0, max),
    retentionMs,
    maxRecycled: integerOption('maxRecycled', options.maxRecycled ?? 2, 0, 10_000),
    maxWaiting: integerOption('maxWaiting', options.maxWaiting ?? 65536, 1, 1 << 20),
    firstSequence: integerOption('firstSequence', options.firstSequence ?? 0, 0, 2 ** 52),
    appender: options.appender ?? {},
    now: options.now ?? Date.now,
  };
}
