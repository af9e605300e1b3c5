import { OutOfMemoryError, SunstarError } from '../errors.js';
import type { Arena } from './arena.js';
import { BlockStore } from './block-store.js';
import { verifyTiling } from './layout.js';
import { LiveMap } from './live-map.js';
import type { Magazines } from './magazines.js';
import { type Leak, MemoryDebug } from './memory-debug.js';
import type { MemoryStats } from './memory-stats.js';
import { MAX_CACHED_BYTES, orderFor } from './size-classes.js';

// As in size-classes.ts, but not imported: V8 folds a module's own constants into the code, and loads an
// imported one from memory each time, without knowing that it is an integer.
const GRANULE_BYTES = 8;
const PAGE_SHIFT = 9;
const FIRST_POOL_CLASS = 32;

/**
 * Frees memory that can be done without, and returns how many bytes that was. It runs inside the allocation
 * that found no memory: it may free and allocate, and must not wait.
 */
export type Reclaimer = (needBytes: number) => number;

export interface ShardMemoryOptions {
  /**
   * Poison freed memory, detect use after free, remember who allocated what.
   * @default process.env.SUNSTAR_DEBUG === '1'
   */
  readonly debug?: boolean;
}

/**
 * The memory of one shard: every buffer, iobuf fragment and file block comes from here.
 *
 * Three layers, each asked when the one before has nothing: a magazine of recently freed blocks per size
 * class; pools of small objects; a buddy allocator over pages. All bookkeeping is in typed arrays beside the
 * arena, so allocating makes no garbage and an overrun cannot damage the allocator.
 *
 * A block is named by its offset in the arena, a multiple of 8. It is aligned to the largest power of two
 * that divides its size class: a power of two to itself, a multiple of 4096 to 4096 at least. (The arena
 * starts on a page: beyond 4096 the offset is aligned, the address perhaps not.) Contents are not zeroed.
 *
 * Only the owner shard may call it; no method waits. After the designs of Seastar's per-core allocator.
 */
export class ShardMemory {
  readonly arena: Arena;
  /** The whole arena. Index it with offsets; do not make a subarray on a hot path. */
  readonly bytes: Buffer;
  /** The largest block this arena can ever give out; larger requests fail without asking reclaimers. */
  readonly maxBlockBytes: number;

  readonly #blocks: BlockStore;
  readonly #live: LiveMap;
  readonly #debug: MemoryDebug | null;
  /** Sizes up to this try the magazines first; 0 in debug mode, which caches nothing. */
  readonly #magazineLimitBytes: number;
  // Parts of #blocks that the hot path reads.
  readonly #magazines: Magazines;
  readonly #classBySize: Uint8Array;
  readonly #classOfPage: Uint8Array;
  readonly #bytesOfClass: Float64Array;
  #reclaimers: readonly Reclaimer[] = [];
  #reclaiming = false;
  #allocations = 0;
  #failedAllocations = 0;
  #reclaims = 0;

  constructor(arena: Arena, options: ShardMemoryOptions = {}) {
    const debug = options.debug ?? process.env.SUNSTAR_DEBUG === '1';
    this.arena = arena;
    this.bytes = arena.bytes;
    this.#blocks = new BlockStore(arena.sizeBytes, !debug);
    this.maxBlockBytes = this.#blocks.maxBlockBytes;
    this.#live = new LiveMap(arena.sizeBytes / GRANULE_BYTES);
    this.#debug = debug ? new MemoryDebug(arena.bytes) : null;
    this.#magazineLimitBytes = debug ? 0 : MAX_CACHED_BYTES;
    this.#magazines = this.#blocks.magazines;
    this.#classBySize = this.#blocks.classes.bySize;
    this.#classOfPage = this.#blocks.classOfPage;
    this.#bytesOfClass = this.#blocks.classes.bytes;
  }

  /**
   * Takes a block of at least `sizeBytes`.
   *
   * @param sizeBytes - 1 or more; a whole number.
   * @returns Its offset in the arena. The caller owns the block until {@link free}.
   * @throws OutOfMemoryError when there is none, after reclaimers were asked.
   * @throws SunstarError SUNSTAR_INVALID_SIZE; in debug mode SUNSTAR_USE_AFTER_FREE.
   */
  allocate(sizeBytes: number): number {
    const offset = this.tryAllocate(sizeBytes);
    if (offset < 0) throw new OutOfMemoryError(sizeBytes, this.#blocks.space().freeBytes);
    return offset;
  }

  /** As {@link allocate}, but returns −1 when there is no memory. */
  tryAllocate(sizeBytes: number): number {
    if (sizeBytes > 0 && sizeBytes <= this.#magazineLimitBytes && (sizeBytes | 0) === sizeBytes) {
      const sizeClass = this.#classBySize[(sizeBytes + 7) >>> 3];
      const granule = this.#magazines.pop(sizeClass);
      if (granule >= 0) {
        this.#live.add(granule);
        this.#allocations++;
        return granule * GRANULE_BYTES;
      }
    }
    return this.#allocateSlow(sizeBytes);
  }

  /**
   * As {@link allocate}, with the offset a multiple of `alignmentBytes` (the address too, up to 4096).
   *
   * @param alignmentBytes - A power of two.
   * @throws SunstarError SUNSTAR_INVALID_ALIGNMENT, and what {@link allocate} throws.
   */
  allocateAligned(sizeBytes: number, alignmentBytes: number): number {
    if (!Number.isInteger(Math.log2(alignmentBytes)) || alignmentBytes < 1) {
      throw new SunstarError(
        'SUNSTAR_INVALID_ALIGNMENT',
        `An alignment is a power of two, not ${alignmentBytes}. O_DIRECT needs what the file system says, often 512 or 4096.`,
      );
    }
    this.#checkSize(sizeBytes);
    // Natural alignment does the rest: in every power-of-two range a multiple of 2^k is either a size class of
    // its own, or below a class that is a multiple of a larger power of two.
    return this.allocate(Math.ceil(sizeBytes / alignmentBytes) * alignmentBytes);
  }

  /**
   * Gives a block back.
   *
   * @throws SunstarError SUNSTAR_INVALID_FREE when no live block starts at `offset`: it is free already, lies
   * inside a block, or was never given out. Nothing is changed then.
   */
  free(offset: number): void {
    const granule = offset >>> 3;
    if (granule * GRANULE_BYTES !== offset || !this.#live.delete(granule)) this.#rejectFree(offset);
    const sizeClass = this.#classOfPage[granule >>> PAGE_SHIFT];
    if (!this.#magazines.push(sizeClass, granule)) this.#freeSlow(sizeClass, granule);
  }

  /**
   * The bytes that the block at `offset` really has: what was asked for, rounded up to a size class.
   *
   * @throws SunstarError SUNSTAR_INVALID_OFFSET when no live block starts there.
   */
  usableSize(offset: number): number {
    return this.#bytesOfClass[this.#classOf(offset)];
  }

  /**
   * Frees the tail of a block in place. Blocks of the buddy allocator (64 KiB and more, and 4, 8, 16 and
   * 32 KiB) are halved while the rest holds `newSizeBytes`; smaller objects keep their size.
   *
   * @throws SunstarError SUNSTAR_INVALID_OFFSET, or SUNSTAR_INVALID_SIZE when it is more than the block has.
   */
  shrink(offset: number, newSizeBytes: number): void {
    const sizeClass = this.#classOf(offset);
    this.#checkSize(newSizeBytes);
    const blockBytes = this.#bytesOfClass[sizeClass];
    if (newSizeBytes > blockBytes) {
      throw new SunstarError(
        'SUNSTAR_INVALID_SIZE',
        `The block at offset ${offset} has ${blockBytes} bytes and cannot shrink to ${newSizeBytes}.`,
      );
    }
    const kept = sizeClass < FIRST_POOL_CLASS ? orderFor(newSizeBytes) : sizeClass;
    this.#debug?.shrunk(offset, newSizeBytes, this.#bytesOfClass[kept], blockBytes);
    if (kept < sizeClass) this.#blocks.shrink(offset >>> 3, kept);
  }

  /**
   * The share, 0 to 1, of the free memory that lies in blocks able to serve `sizeBytes`. 1 means no
   * fragmentation at that size. Cached blocks count at their own size only: {@link trimCaches} first for the
   * exact figure.
   */
  availability(sizeBytes: number): number {
    this.#checkSize(sizeBytes);
    const { freeBytes } = this.#blocks.space();
    if (freeBytes === 0 || sizeBytes > this.maxBlockBytes) return 0;
    return this.#blocks.usableBytes(sizeBytes) / freeBytes;
  }

  /**
   * Registers a function that frees memory when an allocation finds none; the first registered is asked
   * first, until the allocation succeeds or a round over all of them frees nothing. An allocation inside a
   * reclaimer does not ask reclaimers. What a reclaimer throws reaches the caller of the allocation.
   *
   * @returns Unregisters it.
   */
  addReclaimer(reclaimer: Reclaimer): () => void {
    this.#reclaimers = [...this.#reclaimers, reclaimer];
    return () => {
      this.#reclaimers = this.#reclaimers.filter((other) => other !== reclaimer);
    };
  }

  /** Empties the magazines, so that every free block merges with its free buddy. Done before memory runs out. */
  trimCaches(): void {
    this.#blocks.trim();
  }

  stats(): MemoryStats {
    const space = this.#blocks.space();
    return {
      ...space,
      allocations: this.#allocations,
      frees: this.#allocations - space.liveBlocks,
      failedAllocations: this.#failedAllocations,
      reclaims: this.#reclaims,
    };
  }

  /**
   * The blocks that have not been freed, with the stack that allocated each; debug mode only.
   *
   * @throws SunstarError SUNSTAR_DEBUG_OFF
   */
  leaks(): Leak[] {
    if (this.#debug !== null) return this.#debug.leaks();
    throw new SunstarError(
      'SUNSTAR_DEBUG_OFF',
      'Leaks are recorded in debug mode only: set SUNSTAR_DEBUG=1 before the program starts.',
    );
  }

  /** Throws SUNSTAR_INVARIANT unless free, cached and live blocks tile the arena exactly. For tests: slow. */
  invariants(): void {
    this.#blocks.invariants();
    verifyTiling(this.#blocks, this.#live);
  }

  #allocateSlow(sizeBytes: number): number {
    this.#checkSize(sizeBytes);
    const granule =
      sizeBytes > this.maxBlockBytes ? -1 : this.#take(this.#blocks.classes.of(sizeBytes), sizeBytes);
    if (granule < 0) {
      this.#failedAllocations++;
      return -1;
    }
    const offset = granule * GRANULE_BYTES;
    if (this.#debug !== null) this.#verifyFree(this.#debug, granule, sizeBytes);
    this.#live.add(granule);
    this.#allocations++;
    return offset;
  }

  /** A block of the class from wherever one can be had; −1 when all fails. */
  #take(sizeClass: number, sizeBytes: number): number {
    let granule = this.#blocks.take(sizeClass, sizeBytes);
    if (granule < 0) granule = this.#blocks.takeAnyhow(sizeClass, sizeBytes);
    if (granule < 0) granule = this.#reclaim(sizeClass, sizeBytes);
    return granule;
  }

  #reclaim(sizeClass: number, sizeBytes: number): number {
    if (this.#reclaiming || this.#reclaimers.length === 0) return -1;
    this.#reclaiming = true;
    this.#reclaims++;
    try {
      for (;;) {
        // Not the reclaimers' word, but what became free counts: else a wrong answer would loop forever.
        const { freeBytes } = this.#blocks.space();
        for (const reclaimer of this.#reclaimers) {
          reclaimer(this.#bytesOfClass[sizeClass]);
          const granule = this.#blocks.takeAnyhow(sizeClass, sizeBytes);
          if (granule >= 0) return granule;
        }
        if (this.#blocks.space().freeBytes <= freeBytes) return -1;
      }
    } finally {
      this.#reclaiming = false;
    }
  }

  #verifyFree(debug: MemoryDebug, granule: number, sizeBytes: number): void {
    const sizeClass = this.#classOfPage[granule >>> PAGE_SHIFT];
    const offset = granule * GRANULE_BYTES;
    try {
      debug.verifyFree(offset, this.#bytesOfClass[sizeClass]);
    } catch (error) {
      this.#blocks.release(sizeClass, granule);
      throw error;
    }
    debug.allocated(offset, sizeBytes);
  }

  #freeSlow(sizeClass: number, granule: number): void {
    this.#debug?.freed(granule * GRANULE_BYTES, this.#bytesOfClass[sizeClass]);
    this.#blocks.give(sizeClass, granule);
  }

  #classOf(offset: number): number {
    const granule = offset >>> 3;
    if (granule * GRANULE_BYTES === offset && this.#live.has(granule))
      return this.#classOfPage[granule >>> PAGE_SHIFT];
    throw new SunstarError(
      'SUNSTAR_INVALID_OFFSET',
      `No live block starts at offset ${offset}: it was freed, or it is not what an allocation returned.` +
        (this.#debug?.history(offset) ?? ''),
    );
  }

  #rejectFree(offset: number): never {
    throw new SunstarError(
      'SUNSTAR_INVALID_FREE',
      `No live block starts at offset ${offset}: it was freed already, or it is not what an allocation of this shard ` +
        `returned.${this.#debug?.history(offset) ?? ' SUNSTAR_DEBUG=1 shows who freed it.'}`,
    );
  }

  #checkSize(sizeBytes: number): void {
    if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0) return;
    throw new SunstarError(
      'SUNSTAR_INVALID_SIZE',
      `The size of a block is a whole number of bytes, 1 or more, not ${sizeBytes}.`,
    );
  }
}
