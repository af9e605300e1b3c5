export interface StoreOptions {
  /**
   * The store holds at most this many bytes, its index included; a write that needs more fails.
   * @default no limit but the arena
   */
  readonly maxBytes?: number;
  /**
   * Key of the hash function, 8 bytes.
   * @default random, the same for all stores of the process
   */
  readonly hashSeed?: Uint8Array;
  /** @default Math.random */
  readonly random?: () => number;
}

/** Counters of a store since its start. */
export interface StoreStats {
  /** Keys that `find` found and did not find. */
  readonly hits: number;
  readonly misses: number;
  /** Keys that expired. */
  readonly expired: number;
}
