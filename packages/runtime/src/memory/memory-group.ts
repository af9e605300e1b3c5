import { SunstarError } from '../errors.js';
import { parseSize } from '../size.js';
import type { Account } from './account.js';
import type { Allocator } from './allocator.js';
import type { LiveMap } from './live-map.js';
import type { Magazines } from './magazines.js';
import type { MemoryGroupStats } from './memory-stats.js';
import type { AsyncReclaimer, Reclaimer, ReclaimerOptions } from './reclaimers.js';
import { checkSize } from './size-classes.js';

// Local on purpose, see shard-memory.ts.
const GRANULE_BYTES = 8;
const PAGE_SHIFT = 9;

/** The budget of a memory group. */
export interface MemoryGroupOptions {
  /** The most that its blocks may have together, in bytes or as text. @default the whole arena */
  readonly limit?: number | string;
  /**
   * What is kept free for it while it uses less, in bytes or as text: as many whole pages, which may be
   * scattered. What it frees is not cached then, so its small blocks are somewhat slower. At most the limit.
   * @default 0
   */
  readonly reservation?: number | string;
}

/**
 * A budget with a name in the memory of a shard. What exceeds the limit of a group fails, and nothing else does.
 *
 * Blocks are charged with their usable size. A block belongs to the group that allocated it, whoever frees it:
 * `free`, `shrink`, `usableSize` and `reallocate` of the shard's memory know it too.
 */
export class MemoryGroup {
  /** The largest number of groups of a shard. */
  static readonly MAX_GROUPS: number = 64;

  readonly #allocator: Allocator;
  readonly #account: Account;
  readonly #onClose: () => void;
  #closed = false;
  // Parts of the above that the hot path reads.
  readonly #live: LiveMap;
  readonly #magazines: Magazines;
  readonly #classBySize: Uint8Array;
  readonly #classOfPage: Uint8Array;
  readonly #granules: Int32Array;

  /** Made by {@link ShardMemory.group}. @internal */
  constructor(allocator: Allocator, account: Account, onClose: () => void) {
    this.#allocator = allocator;
    this.#account = account;
    this.#onClose = onClose;
    this.#live = account.live;
    const { magazines, classes, classOfPage } = allocator.blocks;
    this.#magazines = magazines;
    this.#classBySize = classes.bySize;
    this.#granules = classes.granules;
    this.#classOfPage = classOfPage;
  }

  get name(): string {
    return this.#account.name;
  }

  /** As {@link ShardMemory.allocate}. @throws OutOfMemoryError also when the group has reached its limit. */
  allocate(sizeBytes: number): number {
    const offset = this.tryAllocate(sizeBytes);
    if (offset < 0) this.#allocator.outOfMemory(sizeBytes, this.#account);
    return offset;
  }

  /** As {@link allocate}, but returns −1 when there is no memory, or the group has reached its limit. */
  tryAllocate(sizeBytes: number): number {
    const magazines = this.#magazines;
    if (sizeBytes > 0 && sizeBytes <= magazines.limitBytes && (sizeBytes | 0) === sizeBytes) {
      const account = this.#account;
      const sizeClass = this.#classBySize[(sizeBytes + 7) >>> 3];
      const used = account.usedGranules + this.#granules[sizeClass];
      if (used <= account.limitGranules) {
        const granule = magazines.pop(sizeClass);
        if (granule >= 0) {
          this.#live.add(granule);
          account.usedGranules = used;
          if (used > account.peakGranules) account.peakGranules = used;
          account.allocations++;
          return granule * GRANULE_BYTES;
        }
      }
    }
    return this.#allocateSlow(sizeBytes);
  }

  /** As {@link ShardMemory.allocateAligned}. */
  allocateAligned(sizeBytes: number, alignmentBytes: number): number {
    return this.allocate(alignedSize(sizeBytes, alignmentBytes));
  }

  /** Gives a block of this group back. @throws SunstarError SUNSTAR_INVALID_FREE, also for blocks of others. */
  free(offset: number): void {
    const granule = offset >>> 3;
    if (granule * GRANULE_BYTES !== offset || !this.#live.delete(granule)) {
      this.#allocator.free(offset, this.#account);
      return;
    }
    const sizeClass = this.#classOfPage[granule >>> PAGE_SHIFT];
    const account = this.#account;
    account.usedGranules -= this.#granules[sizeClass];
    account.frees++;
    if (account.reservedGranules !== 0) this.#allocator.blocks.release(sizeClass, granule);
    else if (!this.#magazines.push(sizeClass, granule)) this.#allocator.blocks.give(sizeClass, granule);
  }

  /** Registers a function that frees memory of this group; asked when it has reached its limit, and when the shard's memory runs out. @returns Unregisters it. */
  addReclaimer(reclaimer: Reclaimer, options: ReclaimerOptions = {}): () => void {
    return this.#allocator.reclaimers.add(reclaimer, null, options, this.#account);
  }

  /** As {@link ShardMemory.addAsyncReclaimer}. @returns Unregisters it. */
  addAsyncReclaimer(reclaimer: AsyncReclaimer, options: ReclaimerOptions = {}): () => void {
    return this.#allocator.reclaimers.add(null, reclaimer, options, this.#account);
  }

  /**
   * Changes the budget; what is not given stays. A limit below what is used lets nothing more in until enough is freed.
   *
   * @throws SunstarError SUNSTAR_INVALID_OPTION, SUNSTAR_INVALID_SIZE. OutOfMemoryError when what it reserves is not free.
   */
  configure(options: MemoryGroupOptions): void {
    const account = this.#account;
    const { sizeBytes } = this.#allocator.arena;
    const limit = options.limit ?? (account.limitGranules * GRANULE_BYTES || sizeBytes);
    const limitBytes = parseSize(limit);
    const reservedBytes = parseSize(options.reservation ?? account.reservedGranules * GRANULE_BYTES);
    if (limitBytes < 1 || reservedBytes > Math.min(limitBytes, sizeBytes)) {
      throw new SunstarError(
        'SUNSTAR_INVALID_OPTION',
        `The group '${this.name}' cannot reserve ${reservedBytes} bytes with a limit of ${limitBytes} in an arena of ${sizeBytes}.`,
      );
    }
    const granules = Math.ceil(reservedBytes / GRANULE_BYTES);
    this.#allocator.budgets.reserve(account, granules, this.#allocator.blocks.space().freeBytes);
    account.limitGranules = Math.floor(Math.min(limitBytes, sizeBytes) / GRANULE_BYTES);
  }

  /** The counters of the group. */
  get stats(): MemoryGroupStats {
    const account = this.#account;
    return {
      name: account.name,
      usedBytes: account.usedGranules * GRANULE_BYTES,
      peakBytes: account.peakGranules * GRANULE_BYTES,
      limitBytes: account.limitGranules * GRANULE_BYTES,
      reservedBytes: account.reservedGranules * GRANULE_BYTES,
      allocations: account.allocations,
      frees: account.frees,
      failedAllocations: account.failedAllocations,
      reclaims: account.reclaims,
    };
  }

  /**
   * Ends the group; its name and reservation are free again.
   *
   * @throws SunstarError SUNSTAR_GROUP_IN_USE while it holds blocks.
   */
  close(): void {
    if (this.#closed) return;
    const { usedGranules, allocations, frees } = this.#account;
    if (usedGranules !== 0) {
      throw new SunstarError(
        'SUNSTAR_GROUP_IN_USE',
        `The memory group '${this.name}' still holds ${allocations - frees} blocks of ${usedGranules * GRANULE_BYTES} bytes together. Free them first.`,
      );
    }
    this.#closed = true;
    this.#account.limitGranules = 0;
    this.#allocator.budgets.close(this.#account);
    this.#allocator.reclaimers.removeAllOf(this.#account);
    this.#onClose();
  }

  #allocateSlow(sizeBytes: number): number {
    if (this.#closed) {
      throw new SunstarError('SUNSTAR_GROUP_CLOSED', `The memory group '${this.name}' was closed.`);
    }
    return this.#allocator.allocate(sizeBytes, this.#account);
  }
}

/**
 * The size to ask for when a block is to be aligned: natural alignment does the rest, because in every range
 * between powers of two a multiple of 2^k is either a size class of its own, or below one that is a multiple of
 * a larger power of two.
 *
 * @throws SunstarError SUNSTAR_INVALID_ALIGNMENT, SUNSTAR_INVALID_SIZE
 */
export function alignedSize(sizeBytes: number, alignmentBytes: number): number {
  if (!Number.isInteger(Math.log2(alignmentBytes)) || alignmentBytes < 1) {
    throw new SunstarError(
      'SUNSTAR_INVALID_ALIGNMENT',
      `An alignment is a power of two, not ${alignmentBytes}. O_DIRECT needs what the file system says, often 512 or 4096.`,
    );
  }
  checkSize(sizeBytes);
  return Math.ceil(sizeBytes / alignmentBytes) * alignmentBytes;
}
