/** How a shard's memory is used. `usedBytes + freeBytes + wasteBytes = totalBytes`, always. */
export interface Space {
  readonly totalBytes: number;
  /** Bytes of the live blocks, redzones included. */
  readonly usedBytes: number;
  /** Everything that can be given out, cached blocks included. */
  readonly freeBytes: number;
  /** The part of `freeBytes` that waits in magazines for a request of its size. */
  readonly cachedBytes: number;
  /** Tails of spans that no object fits into. */
  readonly wasteBytes: number;
  /** The largest naturally aligned block that is free as long as the magazines keep what they have. */
  readonly largestFreeBlockBytes: number;
  readonly liveBlocks: number;
}

/** Counters of one shard's memory, groups included. */
export interface MemoryStats extends Space {
  /** Since the start. */
  readonly allocations: number;
  readonly frees: number;
  /** Allocations that found no memory, or whose group had reached its limit. */
  readonly failedAllocations: number;
  /** How often an allocation asked reclaimers. */
  readonly reclaims: number;
  /** How often reclaimers were asked in the background. */
  readonly backgroundReclaims: number;
  /** Allocations at or above the threshold of the large-allocation warning. */
  readonly largeAllocations: number;
  /** Blocks of this shard that other shards hold now. */
  readonly lentBlocks: number;
  /** Blocks of this shard that other shards freed. */
  readonly foreignFrees: number;
  /** Blocks of other shards that this one freed. */
  readonly foreignFreesSent: number;
}

/** Counters of one memory group. */
export interface MemoryGroupStats {
  readonly name: string;
  readonly usedBytes: number;
  /** The most that was used at any time. */
  readonly peakBytes: number;
  readonly limitBytes: number;
  readonly reservedBytes: number;
  readonly allocations: number;
  readonly frees: number;
  /** Allocations that found the limit reached, or no memory. */
  readonly failedAllocations: number;
  /** How often the group's reclaimers were asked because it had reached its limit. */
  readonly reclaims: number;
}
