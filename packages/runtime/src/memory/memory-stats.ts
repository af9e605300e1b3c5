/** Counters of one shard's memory. `usedBytes + freeBytes + wasteBytes = totalBytes`, always. */
export interface MemoryStats {
  readonly totalBytes: number;
  /** Usable bytes of the live blocks. */
  readonly usedBytes: number;
  /** Everything that can be given out, cached blocks included. */
  readonly freeBytes: number;
  /** The part of `freeBytes` that waits in magazines for a request of its size. */
  readonly cachedBytes: number;
  /** Tails of spans that no object fits into. */
  readonly wasteBytes: number;
  /** The largest block that is free as long as the magazines keep what they have. */
  readonly largestFreeBlockBytes: number;
  readonly liveBlocks: number;
  /** Since the start. */
  readonly allocations: number;
  readonly frees: number;
  /** Allocations that found no memory. */
  readonly failedAllocations: number;
  /** How often reclaimers were asked. */
  readonly reclaims: number;
}
