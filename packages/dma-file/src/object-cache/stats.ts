/** A snapshot of an `ObjectCache`; counters only grow. */
export interface ObjectCacheStats {
  readonly name: string;
  readonly entries: number;
  readonly usedBytes: number;
  readonly limitBytes: number;
  readonly pinnedEntries: number;
  readonly dirtyEntries: number;
  readonly dirtyBytes: number;
  /** Objects that were there when asked for. */
  readonly hits: number;
  /** Objects that were not, and were loaded. */
  readonly misses: number;
  /** Loads that were asked for while one for the same object was under way, and shared it. */
  readonly joined: number;
  /** Loads that failed. */
  readonly loadErrors: number;
  /** Loads for which the cache had no room: they were read all the same and not kept. */
  readonly bypassed: number;
  readonly evictions: number;
  readonly evictedBytes: number;
  /** How often memory was asked back, and how much was given. */
  readonly reclaims: number;
  readonly reclaimedBytes: number;
  /** Dirty objects that were written, and writes that failed. */
  readonly writes: number;
  readonly writeErrors: number;
}

/** The counters, as they are kept. */
export class CacheCounters {
  hits = 0;
  misses = 0;
  joined = 0;
  loadErrors = 0;
  bypassed = 0;
  evictions = 0;
  evictedBytes = 0;
  reclaims = 0;
  reclaimedBytes = 0;
  writes = 0;
  writeErrors = 0;
}
