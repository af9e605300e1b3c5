import type { ShardMemory } from '@sunstar/runtime';

/** Size of the units in which the store names places in the arena: every block starts on a multiple of it. */
export const GRANULE_BYTES = 8;

/** No block, no entry. */
export const NONE = -1;

/** What {@link StoreMemory} needs of a ShardMemory. */
export type StoreArena = Pick<
  ShardMemory,
  'arena' | 'bytes' | 'tryAllocate' | 'free' | 'usableSize' | 'addReclaimer'
>;

/**
 * The store's part of the shard's memory: it counts what the store holds, and refuses what goes beyond a limit.
 *
 * Blocks are named by granule (offset / 8), a small integer for every arena up to 4 GiB, which is why 32 bits
 * are enough for a link between entries.
 */
export class StoreMemory {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  /** Allocations that would lead beyond it fail. */
  maxBytes: number;
  readonly #memory: StoreArena;
  readonly #reclaim: () => boolean;
  readonly #unregister: () => void;
  #usedBytes = 0;

  /** @param reclaim - Frees some of what the store can do without, and says whether there was any. */
  constructor(memory: StoreArena, maxBytes: number, reclaim: () => boolean) {
    this.#memory = memory;
    this.bytes = memory.bytes;
    this.view = memory.arena.view;
    this.int32 = memory.arena.int32;
    this.float64 = memory.arena.float64;
    this.maxBytes = maxBytes;
    this.#reclaim = reclaim;
    this.#unregister = memory.addReclaimer(() => {
      const usedBytes = this.#usedBytes;
      // The allocator gives up when it hears of nothing freed.
      while (this.#usedBytes === usedBytes && reclaim());
      return usedBytes - this.#usedBytes;
    });
  }

  /** Usable bytes of all blocks that the store holds. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes a block; returns its granule, or NONE when there is no memory. */
  take(sizeBytes: number): number {
    while (this.#usedBytes + sizeBytes > this.maxBytes) {
      if (!this.#reclaim()) return NONE;
    }
    const offset = this.#memory.tryAllocate(sizeBytes);
    if (offset < 0) return NONE;
    this.#usedBytes += this.#memory.usableSize(offset);
    return offset / GRANULE_BYTES;
  }

  /** Gives a block back. */
  give(granule: number): void {
    const offset = granule * GRANULE_BYTES;
    this.#usedBytes -= this.#memory.usableSize(offset);
    this.#memory.free(offset);
  }

  /** Bytes that the block really has. */
  usableBytes(granule: number): number {
    return this.#memory.usableSize(granule * GRANULE_BYTES);
  }

  /** The shard's allocator no longer asks this store to free memory. */
  detach(): void {
    this.#unregister();
  }
}
