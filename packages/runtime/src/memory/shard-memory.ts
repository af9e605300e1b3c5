import { SunstarError } from '../errors.js';
import { Account } from './account.js';
import { Allocator } from './allocator.js';
import type { Arena } from './arena.js';
import type { BlockStore } from './block-store.js';
import { HeapProfile, type ProfileSite } from './heap-profile.js';
import { verifyTiling } from './layout.js';
import type { LiveMap } from './live-map.js';
import type { Magazines } from './magazines.js';
import { type Leak, MemoryDebug } from './memory-debug.js';
import { alignedSize, MemoryGroup, type MemoryGroupOptions } from './memory-group.js';
import {
  changedMemoryOptions,
  fullMemoryOptions,
  type MemoryConfiguration,
  type ShardMemoryOptions,
} from './memory-options.js';
import { memoryReport } from './memory-report.js';
import type { MemoryStats } from './memory-stats.js';
import { encodeProfile } from './pprof.js';
import type { AsyncReclaimer, Reclaimer, ReclaimerOptions, ReclaimerStats } from './reclaimers.js';
import { checkSize } from './size-classes.js';
import type { SpareBlock } from './spare-block.js';

// As in size-classes.ts, but not imported: V8 folds a module's own constants into the code, and loads an
// imported one from memory each time, without knowing that it is an integer.
const GRANULE_BYTES = 8;
const PAGE_SHIFT = 9;

/** On average one sample in as many bytes, unless the caller says otherwise. */
const PROFILE_INTERVAL_BYTES = 512 * 1024;

/**
 * The memory of one shard: every buffer, iobuf fragment and file block comes from here.
 *
 * Three layers, each asked when the one before has nothing: a magazine of recently freed blocks per size
 * class; pools of small objects; pages from a buddy allocator. All bookkeeping is in typed arrays beside the
 * arena, so allocating makes no garbage and an overrun cannot damage the allocator.
 *
 * A block is named by its offset in the arena, a multiple of 8. It is aligned to the largest power of two
 * that divides the size that was asked for: a power of two to itself, a multiple of 4096 to 4096 at least. (The
 * arena starts on a page: beyond 4096 the offset is aligned, the address perhaps not.) Contents are not zeroed.
 *
 * Only the owner shard may call it; no method waits. After the designs of Seastar's per-core allocator.
 */
export class ShardMemory {
  readonly arena: Arena;
  /** The whole arena. Index it with offsets; do not make a subarray on a hot path. */
  readonly bytes: Buffer;
  /** The largest block this arena can ever give out; larger requests fail without asking reclaimers. */
  readonly maxBlockBytes: number;

  readonly #allocator: Allocator;
  readonly #blocks: BlockStore;
  readonly #groups = new Map<string, MemoryGroup>();
  // Parts of the above that the hot path reads.
  readonly #spare: SpareBlock;
  readonly #live: LiveMap;
  readonly #magazines: Magazines;
  readonly #classBySize: Uint8Array;
  readonly #classOfPage: Uint8Array;
  #allocations = 0;

  /** @throws SunstarError SUNSTAR_INVALID_OPTION */
  constructor(arena: Arena, options: ShardMemoryOptions = {}) {
    const isDebug = options.debug ?? process.env.SUNSTAR_DEBUG === '1';
    this.arena = arena;
    this.bytes = arena.bytes;
    const debug = isDebug ? new MemoryDebug(arena.bytes, arena.sizeBytes) : null;
    this.#allocator = new Allocator(arena, fullMemoryOptions(options, arena.sizeBytes), debug);
    this.#blocks = this.#allocator.blocks;
    this.maxBlockBytes = this.#blocks.maxBlockBytes;
    this.#spare = this.#blocks.spare;
    this.#live = this.#allocator.own.live;
    this.#magazines = this.#blocks.magazines;
    this.#classBySize = this.#blocks.classes.bySize;
    this.#classOfPage = this.#blocks.classOfPage;
    const intervalBytes = options.heapProfileIntervalBytes ?? Number(process.env.SUNSTAR_HEAP_PROFILE ?? 0);
    if (intervalBytes !== 0) this.startHeapProfile(intervalBytes);
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
    if (offset < 0) this.#allocator.outOfMemory(sizeBytes, this.#allocator.own);
    return offset;
  }

  /**
   * As {@link allocate}, for a block that is taken once and kept, such as a pool of buffers: without the warning
   * of large blocks.
   */
  allocatePermanent(sizeBytes: number): number {
    const { large } = this.#allocator;
    large.isMuted = true;
    try {
      return this.allocate(sizeBytes);
    } finally {
      large.isMuted = false;
    }
  }

  /** As {@link allocate}, but returns −1 when there is no memory. */
  tryAllocate(sizeBytes: number): number {
    const spare = this.#spare;
    if (spare.isFree && sizeBytes === spare.sizeBytes) {
      spare.isFree = false;
      this.#allocations++;
      return spare.granule * GRANULE_BYTES;
    }
    const magazines = this.#magazines;
    if (sizeBytes > 0 && sizeBytes <= magazines.limitBytes && (sizeBytes | 0) === sizeBytes) {
      const sizeClass = this.#classBySize[(sizeBytes + 7) >>> 3];
      const granule = magazines.pop(sizeClass);
      if (granule >= 0) {
        this.#live.add(granule);
        this.#allocations++;
        spare.watch(granule, sizeBytes);
        return granule * GRANULE_BYTES;
      }
    }
    return this.#allocator.allocate(sizeBytes, this.#allocator.own);
  }

  /**
   * As {@link allocate}, with the offset a multiple of `alignmentBytes` (the address too, up to 4096).
   *
   * @param alignmentBytes - A power of two.
   * @throws SunstarError SUNSTAR_INVALID_ALIGNMENT, and what {@link allocate} throws.
   */
  allocateAligned(sizeBytes: number, alignmentBytes: number): number {
    return this.allocate(alignedSize(sizeBytes, alignmentBytes));
  }

  /**
   * Gives a block back, also one of a group.
   *
   * @throws SunstarError SUNSTAR_INVALID_FREE when no live block starts at `offset`: it is free already, lies
   * inside a block, was never given out, or is with another shard. Nothing is changed then. In debug mode
   * SUNSTAR_BUFFER_OVERRUN.
   */
  free(offset: number): void {
    const granule = offset >>> 3;
    const spare = this.#spare;
    if (granule === spare.granule && !spare.isFree && granule * GRANULE_BYTES === offset) {
      spare.isFree = true;
      return;
    }
    if (granule * GRANULE_BYTES !== offset || granule === spare.granule || !this.#live.delete(granule)) {
      this.#allocator.free(offset, null);
      return;
    }
    const sizeClass = this.#classOfPage[granule >>> PAGE_SHIFT];
    if (!this.#magazines.push(sizeClass, granule)) this.#blocks.give(sizeClass, granule);
  }

  /**
   * The bytes that the block at `offset` really has: what was asked for, rounded up to a size class. In debug
   * mode just what was asked for.
   *
   * @throws SunstarError SUNSTAR_INVALID_OFFSET when no live block starts there.
   */
  usableSize(offset: number): number {
    return this.#allocator.usableSize(offset);
  }

  /**
   * Frees the tail of a block in place. Blocks of pages (64 KiB and more, and 4, 8, 16 and 32 KiB) are halved
   * while the rest holds `newSizeBytes`; smaller objects keep their size.
   *
   * @throws SunstarError SUNSTAR_INVALID_OFFSET, or SUNSTAR_INVALID_SIZE when it is more than the block has.
   */
  shrink(offset: number, newSizeBytes: number): void {
    this.#allocator.shrink(offset, newSizeBytes);
  }

  /**
   * Gives a block another size: in place when its tail can be freed or its neighbours are free, else in a new
   * place to which the contents are copied. The block stays in its group.
   *
   * @returns The block's offset from now on. When it moved the old one is free.
   * @throws OutOfMemoryError; the block is as it was then. SunstarError SUNSTAR_INVALID_OFFSET, SUNSTAR_INVALID_SIZE.
   */
  reallocate(offset: number, newSizeBytes: number): number {
    return this.#allocator.reallocate(offset, newSizeBytes);
  }

  /**
   * The share, 0 to 1, of the free memory that lies in blocks able to serve `sizeBytes`. 1 means no
   * fragmentation at that size. Cached blocks count at their own size only: {@link trimCaches} first for the
   * exact figure.
   */
  availability(sizeBytes: number): number {
    checkSize(sizeBytes);
    const { freeBytes } = this.#blocks.space();
    if (freeBytes === 0 || sizeBytes > this.maxBlockBytes) return 0;
    return this.#blocks.usableBytes(sizeBytes) / freeBytes;
  }

  /**
   * Makes a memory group: a budget with a name, from which a subsystem allocates, and which it alone can exceed.
   *
   * @throws SunstarError SUNSTAR_GROUP_EXISTS, SUNSTAR_TOO_MANY_GROUPS, SUNSTAR_INVALID_OPTION.
   * OutOfMemoryError when what it reserves is not free.
   */
  group(name: string, options: MemoryGroupOptions = {}): MemoryGroup {
    if (typeof name !== 'string' || name === '') {
      throw new SunstarError('SUNSTAR_INVALID_OPTION', 'A memory group has a name that is not empty.');
    }
    if (this.#groups.has(name)) {
      throw new SunstarError(
        'SUNSTAR_GROUP_EXISTS',
        `There is a memory group '${name}' already. Share it, or choose another name.`,
      );
    }
    if (this.#groups.size >= MemoryGroup.MAX_GROUPS) {
      throw new SunstarError(
        'SUNSTAR_TOO_MANY_GROUPS',
        `A shard has at most ${MemoryGroup.MAX_GROUPS} memory groups. Make one for each subsystem, not for each connection.`,
      );
    }
    const account = new Account(name, this.#allocator.newLiveMap(), 0);
    const group = new MemoryGroup(this.#allocator, account, () => this.#groups.delete(name));
    group.configure(options);
    this.#allocator.budgets.groups.push(account);
    this.#groups.set(name, group);
    return group;
  }

  /** The memory groups, in the order in which they were made. */
  get groups(): readonly MemoryGroup[] {
    return [...this.#groups.values()];
  }

  /**
   * Registers a function that frees memory when an allocation finds none, and before that when less than the
   * low-water mark is free. They are asked in the order of their priority, until the allocation succeeds or a
   * round over all of them frees nothing. An allocation inside a reclaimer does not ask reclaimers. What a
   * reclaimer throws reaches the caller of the allocation.
   *
   * @returns Unregisters it.
   */
  addReclaimer(reclaimer: Reclaimer, options: ReclaimerOptions = {}): () => void {
    return this.#allocator.reclaimers.add(reclaimer, null, options, null);
  }

  /**
   * Registers a function that frees memory and waits for something on the way. It is asked in the background
   * only: when less than the low-water mark is free, and after an allocation has failed. What it rejects with
   * becomes the warning SUNSTAR_RECLAIM_FAILED.
   *
   * @returns Unregisters it.
   */
  addAsyncReclaimer(reclaimer: AsyncReclaimer, options: ReclaimerOptions = {}): () => void {
    return this.#allocator.reclaimers.add(null, reclaimer, options, null);
  }

  /** The reclaimers, those of groups included, in the order in which they are asked. */
  get reclaimers(): ReclaimerStats[] {
    return this.#allocator.reclaimers.stats();
  }

  /** Changes options while the memory is in use; those that are not given stay. @throws SunstarError SUNSTAR_INVALID_OPTION */
  configure(change: MemoryConfiguration): void {
    this.#allocator.configure(changedMemoryOptions(this.#allocator.options, change));
  }

  /** Empties the magazines, so that every free block merges with its free buddy. Done before memory runs out. */
  trimCaches(): void {
    this.#blocks.trim();
  }

  /** A snapshot of the counters. */
  stats(): MemoryStats {
    const { own, budgets, reclaimers, background, large, lentBlocks, foreignFrees, foreignFreesSent } =
      this.#allocator;
    const space = this.#blocks.space();
    let allocations = this.#allocations + own.allocations;
    let failedAllocations = own.failedAllocations;
    for (const { stats } of this.#groups.values()) {
      allocations += stats.allocations;
      failedAllocations += stats.failedAllocations;
    }
    allocations += budgets.closedAllocations;
    failedAllocations += budgets.closedFailures;
    return {
      ...space,
      allocations,
      frees: allocations - space.liveBlocks,
      failedAllocations,
      reclaims: reclaimers.runs,
      backgroundReclaims: background.runs,
      largeAllocations: large.count,
      lentBlocks,
      foreignFrees,
      foreignFreesSent,
    };
  }

  /** What is in the memory and who holds it, as text: totals, top sizes, groups, reclaimers, and sites if they are known. */
  report(): string {
    return memoryReport(this.#allocator);
  }

  /**
   * Starts to sample who allocates; what a former profile has gathered is forgotten.
   *
   * @param intervalBytes - On average one sample in as many allocated bytes, 1 to 2^30. @default 512 KiB
   * @throws SunstarError SUNSTAR_INVALID_OPTION
   */
  startHeapProfile(intervalBytes: number = PROFILE_INTERVAL_BYTES): void {
    this.#allocator.profile = new HeapProfile(intervalBytes);
  }

  /** Stops sampling and forgets the profile. */
  stopHeapProfile(): void {
    this.#allocator.profile = null;
  }

  /** Who allocated and still holds how much since {@link startHeapProfile}, most first. @throws SunstarError SUNSTAR_PROFILE_OFF */
  profileSites(): ProfileSite[] {
    return this.#profile().sites();
  }

  /** The same for `pprof` and what reads its format: a gzip-compressed profile.proto. @throws SunstarError SUNSTAR_PROFILE_OFF */
  encodeHeapProfile(): Promise<Buffer> {
    return encodeProfile(this.#profile());
  }

  #profile(): HeapProfile {
    if (this.#allocator.profile !== null) return this.#allocator.profile;
    throw new SunstarError(
      'SUNSTAR_PROFILE_OFF',
      'No heap profile is being taken: call startHeapProfile(), or set SUNSTAR_HEAP_PROFILE=524288.',
    );
  }

  /**
   * The blocks that have not been freed, with the stack that allocated each; debug mode only.
   *
   * @throws SunstarError SUNSTAR_DEBUG_OFF
   */
  leaks(): Leak[] {
    const { debug } = this.#allocator;
    if (debug !== null) return debug.leaks();
    throw new SunstarError(
      'SUNSTAR_DEBUG_OFF',
      'Leaks are recorded in debug mode only: set SUNSTAR_DEBUG=1 before the program starts.',
    );
  }

  /** A block goes to another shard, which is going to give it back. For {@link LentBlock}. @internal */
  lend(offset: number): void {
    this.#allocator.lend(offset);
  }

  /** A block is no longer with another shard; `freed`: that has freed it. For {@link LentBlock}. @internal */
  takeBack(offset: number, freed: boolean): void {
    this.#allocator.takeBack(offset, freed);
  }

  /** This shard gives a block of another back. For {@link LentBlock}. @internal */
  noteForeignFree(): void {
    this.#allocator.foreignFreesSent++;
  }

  /** Throws SUNSTAR_INVARIANT unless free, cached and live blocks tile the arena exactly. For tests: slow. */
  invariants(): void {
    this.#blocks.invariants();
    verifyTiling(this.#allocator);
  }
}
