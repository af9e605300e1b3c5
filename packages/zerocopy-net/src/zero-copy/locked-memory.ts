const PAGE_BYTES = 4096;

/**
 * How much memory this shard's sends lock in physical memory. The kernel counts it for each user, over all of its
 * processes, and refuses what is beyond RLIMIT_MEMLOCK; root is exempt. A shard takes at most its share of half of
 * the limit, so that sends which cannot succeed are not tried.
 */
export class LockedMemory {
  /** The most that this shard locks; Infinity without a limit. Falls when the kernel refuses less. */
  limitBytes: number;
  #usedBytes = 0;

  /**
   * @param limitBytes - The user's limit; −1 is none.
   * @param shardCount - Among how many it is divided.
   */
  constructor(limitBytes: number, shardCount: number) {
    this.limitBytes = limitBytes < 0 ? Number.POSITIVE_INFINITY : Math.floor(limitBytes / 2 / shardCount);
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** The longest send that is allowed now. */
  get roomBytes(): number {
    return Math.max(0, this.limitBytes - this.#usedBytes - 2 * PAGE_BYTES);
  }

  /** The longest send that is ever allowed. */
  get longestBytes(): number {
    return Math.max(0, this.limitBytes - 2 * PAGE_BYTES);
  }

  /** A send of so many bytes was submitted. */
  add(sizeBytes: number): void {
    this.#usedBytes += costBytes(sizeBytes);
  }

  /** It was notified, or not accepted. */
  remove(sizeBytes: number): void {
    this.#usedBytes -= costBytes(sizeBytes);
    if (this.#usedBytes < 0) throw new Error('More memory was unlocked than had been locked.');
  }

  /**
   * The kernel refused to lock so much for a connection with nothing else in flight: where there is a limit at all,
   * nothing so long is tried again.
   */
  refused(sizeBytes: number): void {
    if (this.limitBytes === Number.POSITIVE_INFINITY) return;
    this.limitBytes = Math.min(this.limitBytes, Math.floor(sizeBytes / 2));
  }
}

/** What the kernel charges: whole pages, and two more. */
function costBytes(sizeBytes: number): number {
  return (Math.floor(sizeBytes / PAGE_BYTES) + 2) * PAGE_BYTES;
}
