import { SunstarError } from '../errors.js';
import { Account } from './account.js';
import type { Arena } from './arena.js';
import { BackgroundReclaim } from './background-reclaim.js';
import { BlockStore } from './block-store.js';
import { Budgets } from './budgets.js';
import type { HeapProfile } from './heap-profile.js';
import { LargeAllocations } from './large-allocations.js';
import { LiveMap } from './live-map.js';
import type { Marks } from './marks.js';
import type { MemoryDebug } from './memory-debug.js';
import type { FullMemoryOptions } from './memory-options.js';
import { memoryReport } from './memory-report.js';
import { OutOfMemoryReports, outOfMemory } from './out-of-memory.js';
import { Reclaimers } from './reclaimers.js';
import { invalidFree, invalidOffset } from './rejections.js';
import { checkSize, MAX_CACHED_BYTES, orderFor } from './size-classes.js';

// Local on purpose, see shard-memory.ts.
const GRANULE_BYTES = 8;
const PAGE_SHIFT = 9;
const PAGE_BYTES = 4096;
const FIRST_POOL_CLASS = 32;

/**
 * What allocations and frees do when the short way of {@link ShardMemory} or {@link MemoryGroup} does not serve
 * them: it fills magazines, reclaims, keeps budgets, samples, and finds out what is wrong with an offset.
 */
export class Allocator {
  readonly arena: Arena;
  readonly blocks: BlockStore;
  /** Whoever is in no group. */
  readonly own: Account;
  readonly budgets: Budgets = new Budgets();
  readonly marks: Marks = new Map();
  readonly debug: MemoryDebug | null;
  readonly reclaimers: Reclaimers = new Reclaimers();
  readonly background: BackgroundReclaim;
  readonly large: LargeAllocations;
  readonly #reports: OutOfMemoryReports;
  options: FullMemoryOptions;
  /** Blocks that other shards hold. */
  lentBlocks = 0;
  /** Blocks that other shards gave back, and blocks of other shards that were given back here. */
  foreignFrees = 0;
  foreignFreesSent = 0;
  #profile: HeapProfile | null = null;

  constructor(arena: Arena, options: FullMemoryOptions, debug: MemoryDebug | null) {
    this.arena = arena;
    this.options = options;
    this.debug = debug;
    this.own = new Account('', this.newLiveMap(), Number.POSITIVE_INFINITY);
    this.blocks = new BlockStore(arena.sizeBytes, debug === null, this.own.live);
    this.large = new LargeAllocations(
      options.largeAllocationBytes,
      (warning) => this.warn(warning),
      () => performance.now(),
    );
    this.background = new BackgroundReclaim(this, options.lowWaterBytes);
    this.#reports = new OutOfMemoryReports(() => memoryReport(this));
    this.#chooseWay();
  }

  newLiveMap(): LiveMap {
    return new LiveMap(this.arena.sizeBytes / GRANULE_BYTES);
  }

  get profile(): HeapProfile | null {
    return this.#profile;
  }

  set profile(profile: HeapProfile | null) {
    this.#profile = profile;
    this.#chooseWay();
  }

  configure(options: FullMemoryOptions): void {
    this.options = options;
    this.large.baseBytes = options.largeAllocationBytes;
    this.background.lowWaterBytes = options.lowWaterBytes;
  }

  /** With somebody who wants to see every allocation, none takes the short way. */
  #chooseWay(): void {
    this.blocks.spare.settle();
    const everyone = this.debug !== null || this.#profile !== null;
    this.blocks.magazines.limitBytes = everyone ? 0 : MAX_CACHED_BYTES;
  }

  /** Takes a block and charges it: its offset, or −1. */
  allocate(sizeBytes: number, account: Account): number {
    checkSize(sizeBytes);
    const { blocks, debug } = this;
    if (sizeBytes > blocks.maxBlockBytes) return fail(account);
    if (sizeBytes >= this.large.baseBytes) this.large.notice(sizeBytes, account.name);
    let granule = -1;
    if (debug !== null && this.#affordsRedzone(sizeBytes, account)) {
      granule = this.#obtain(debug.sizeWithRedzone(sizeBytes), account);
    }
    if (granule < 0) granule = this.#obtain(sizeBytes, account);
    if (granule < 0) return fail(account);
    this.#makeLive(granule, sizeBytes, account);
    return granule * GRANULE_BYTES;
  }

  /** What happens when an allocation has failed. */
  outOfMemory(sizeBytes: number, account: Account): never {
    const abort = this.options.onOutOfMemory === 'abort';
    const error = outOfMemory({
      sizeBytes,
      freeBytes: this.blocks.space().freeBytes,
      maxBlockBytes: this.blocks.maxBlockBytes,
      reservedBytes: this.budgets.keptFor(account) * GRANULE_BYTES,
      account,
      report: abort ? undefined : this.#reports.next(),
    });
    if (abort) this.#reports.abort(error);
    throw error;
  }

  /** A block that is charged to the account, and not live yet; −1 when budget or memory do not suffice. */
  #obtain(sizeBytes: number, account: Account): number {
    const { blocks } = this;
    const sizeClass = sizeBytes > blocks.maxBlockBytes ? -1 : blocks.classes.of(sizeBytes);
    if (sizeClass < 0) return -1;
    const most = blocks.classes.granules[sizeClass];
    if (account.usedGranules + most > account.limitGranules && !this.#makeRoom(account, most)) return -1;
    let granule = sizeBytes <= MAX_CACHED_BYTES ? blocks.magazines.pop(sizeClass) : -1;
    if (granule < 0) granule = this.#take(sizeClass, sizeBytes, account);
    if (granule < 0 || !account.isGroup) return granule;
    // Not always the class that was asked for, and reclaimers may have allocated meanwhile.
    const granules = this.#granulesOf(granule);
    if (account.usedGranules + granules > account.limitGranules) {
      blocks.release(blocks.classOfPage[granule >>> PAGE_SHIFT], granule);
      return -1;
    }
    account.usedGranules += granules;
    if (account.usedGranules > account.peakGranules) account.peakGranules = account.usedGranules;
    return granule;
  }

  /** Redzones behind whole pages can double a block: only while half of the memory and of the budget is free. */
  #affordsRedzone(sizeBytes: number, account: Account): boolean {
    if (sizeBytes < PAGE_BYTES) return true;
    const leftBytes = this.freePageBytes() - 2 * sizeBytes;
    return leftBytes * 2 >= this.arena.sizeBytes && account.usedGranules * 2 < account.limitGranules;
  }

  /** Asks the reclaimers of a group that has reached its limit; whether it may have so much more then. */
  #makeRoom(account: Account, granules: number): boolean {
    if (granules > account.limitGranules) return false;
    const needBytes = (account.usedGranules + granules - account.limitGranules) * GRANULE_BYTES;
    const before = this.reclaimers.runs;
    const enough = this.reclaimers.run(
      account,
      needBytes,
      () => account.usedGranules + granules <= account.limitGranules,
      () => -account.usedGranules,
    );
    account.reclaims += this.reclaimers.runs - before;
    return enough;
  }

  /** A block of the class from wherever one can be had; −1 when all fails. */
  #take(sizeClass: number, sizeBytes: number, account: Account): number {
    const { blocks, background } = this;
    const { pages } = blocks;
    pages.keepFreePages = this.budgets.pagesKeptFor(account);
    let granule = blocks.take(sizeClass, sizeBytes);
    if (granule < 0) granule = blocks.takeAnyhow(sizeClass, sizeBytes);
    if (granule < 0) granule = this.#reclaim(sizeClass, sizeBytes, account);
    if (granule < 0) background.request(blocks.classes.bytes[sizeClass]);
    else if (pages.freePages * PAGE_BYTES < background.lowWaterBytes) background.request(0);
    return granule;
  }

  #reclaim(sizeClass: number, sizeBytes: number, account: Account): number {
    const { blocks } = this;
    let granule = -1;
    this.reclaimers.run(
      null,
      blocks.classes.bytes[sizeClass],
      () => {
        // Reclaimers may have allocated, for another account.
        blocks.pages.keepFreePages = this.budgets.pagesKeptFor(account);
        granule = blocks.takeAnyhow(sizeClass, sizeBytes);
        return granule >= 0;
      },
      () => blocks.space().freeBytes,
    );
    return granule;
  }

  /** Notes a block that is given out now. Those of which more is known than that get a mark. */
  #makeLive(granule: number, sizeBytes: number, account: Account): void {
    if (this.debug !== null) this.#verifyFree(this.debug, granule, sizeBytes, account);
    const profile = this.#profile;
    const site = profile?.isDue(sizeBytes) ? profile.sample(sizeBytes) : null;
    if (this.debug !== null || site !== null)
      this.marks.set(granule, { account, site, sizeBytes, lent: false });
    else account.live.add(granule);
    account.allocations++;
  }

  #verifyFree(debug: MemoryDebug, granule: number, sizeBytes: number, account: Account): void {
    const offset = granule * GRANULE_BYTES;
    const sizeClass = this.blocks.classOfPage[granule >>> PAGE_SHIFT];
    const blockBytes = this.blocks.classes.bytes[sizeClass];
    try {
      debug.verifyFree(offset, blockBytes);
    } catch (error) {
      if (account.isGroup) account.usedGranules -= this.#granulesOf(granule);
      this.blocks.release(sizeClass, granule);
      throw error;
    }
    debug.allocated(offset, sizeBytes, blockBytes);
  }

  /** Frees a block that the caller's live map does not have; null is any account. */
  free(offset: number, account: Account | null): void {
    const granule = this.granuleOf(offset);
    const owner = granule < 0 ? null : this.ownerOf(granule);
    if (owner === null || (account !== null && account !== owner)) this.#rejectFree(offset, owner);
    const mark = this.marks.get(granule);
    if (mark === undefined) {
      owner.live.delete(granule);
    } else {
      if (mark.lent) this.#rejectFree(offset, owner);
      this.debug?.verifyRedzone(offset);
      if (mark.site !== null) this.#profile?.freed(mark.site, mark.sizeBytes);
      this.marks.delete(granule);
    }
    if (owner.isGroup) owner.usedGranules -= this.#granulesOf(granule);
    owner.frees++;
    const sizeClass = this.blocks.classOfPage[granule >>> PAGE_SHIFT];
    this.debug?.freed(offset, this.blocks.classes.bytes[sizeClass]);
    this.blocks.put(sizeClass, granule, owner.reservedGranules === 0);
  }

  /** What an owner may write to. In debug mode just what was asked for: the rest is a redzone. */
  usableSize(offset: number): number {
    const granule = this.liveGranule(offset);
    if (this.debug !== null) return this.debug.sizeOf(offset);
    return this.blocks.classes.bytes[this.blocks.classOfPage[granule >>> PAGE_SHIFT]];
  }

  shrink(offset: number, newSizeBytes: number): void {
    const granule = this.liveGranule(offset);
    checkSize(newSizeBytes);
    const usable = this.usableSize(offset);
    if (newSizeBytes > usable) {
      throw new SunstarError(
        'SUNSTAR_INVALID_SIZE',
        `The block at offset ${offset} has ${usable} bytes and cannot shrink to ${newSizeBytes}. Use reallocate().`,
      );
    }
    const { blocks } = this;
    const sizeClass = blocks.classOfPage[granule >>> PAGE_SHIFT];
    const kept = blocks.classWithin(sizeClass, newSizeBytes);
    this.debug?.shrunk(offset, newSizeBytes, blocks.classes.bytes[kept], blocks.classes.bytes[sizeClass]);
    if (kept !== sizeClass) this.#change(granule, kept);
  }

  /** Gives a live block another size; the offset changes when it had to move. */
  reallocate(offset: number, newSizeBytes: number): number {
    const granule = this.liveGranule(offset);
    checkSize(newSizeBytes);
    const owner = this.ownerOf(granule) as Account;
    if (this.marks.get(granule)?.lent === true) this.#rejectFree(offset, owner);
    const usable = this.usableSize(offset);
    // In debug mode it always moves, so that whoever keeps the old offset is found out.
    if (this.debug === null && this.#resizeInPlace(granule, newSizeBytes, usable, owner)) return offset;
    const moved = this.allocate(newSizeBytes, owner);
    if (moved < 0) {
      if (newSizeBytes <= usable) return offset;
      this.outOfMemory(newSizeBytes, owner);
    }
    this.arena.bytes.copyWithin(moved, offset, offset + Math.min(usable, newSizeBytes));
    this.free(offset, null);
    return moved;
  }

  #resizeInPlace(granule: number, newSizeBytes: number, usable: number, owner: Account): boolean {
    const { blocks } = this;
    const sizeClass = blocks.classOfPage[granule >>> PAGE_SHIFT];
    if (newSizeBytes <= usable) {
      const kept = blocks.classWithin(sizeClass, newSizeBytes);
      if (kept !== sizeClass) this.#change(granule, kept);
      // What cannot give its tail back moves once more than half is tail.
      return kept !== sizeClass || newSizeBytes * 2 > usable;
    }
    if (sizeClass >= FIRST_POOL_CLASS || newSizeBytes > blocks.maxBlockBytes) return false;
    const larger = orderFor(newSizeBytes);
    const granules = blocks.classes.granules[larger] - blocks.classes.granules[sizeClass];
    if (owner.usedGranules + granules > owner.limitGranules) return false;
    blocks.pages.keepFreePages = this.budgets.pagesKeptFor(owner);
    if (!blocks.extend(granule, larger)) return false;
    if (owner.isGroup) owner.usedGranules += granules;
    owner.peakGranules = Math.max(owner.peakGranules, owner.usedGranules);
    return true;
  }

  /** Shrinks a live block to another class. */
  #change(granule: number, kept: number): void {
    const owner = this.ownerOf(granule) as Account;
    const before = this.#granulesOf(granule);
    this.blocks.shrink(granule, kept);
    if (owner.isGroup) owner.usedGranules -= before - this.#granulesOf(granule);
  }

  /** From now on another shard holds the block. */
  lend(offset: number): void {
    const granule = this.liveGranule(offset);
    const account = this.ownerOf(granule) as Account;
    const mark = this.marks.get(granule);
    if (mark?.lent === true) this.#rejectFree(offset, account);
    if (mark !== undefined) mark.lent = true;
    else {
      account.live.delete(granule);
      this.marks.set(granule, { account, site: null, sizeBytes: 0, lent: true });
    }
    this.lentBlocks++;
  }

  /** The block is this shard's again; with `freed` it is free. */
  takeBack(offset: number, freed: boolean): void {
    const granule = this.granuleOf(offset);
    const mark = granule < 0 ? undefined : this.marks.get(granule);
    if (mark === undefined || !mark.lent) this.#rejectFree(offset, null);
    this.lentBlocks--;
    mark.lent = false;
    if (!freed) return;
    this.foreignFrees++;
    try {
      this.free(offset, null);
    } catch (error) {
      // Debug mode found an overrun, repaired it, and the one who did it is elsewhere.
      this.warn(error as SunstarError);
      this.free(offset, null);
    }
  }

  /** @throws SunstarError SUNSTAR_INVALID_OFFSET unless a live block starts there. */
  liveGranule(offset: number): number {
    const granule = this.granuleOf(offset);
    if (granule >= 0 && this.ownerOf(granule) !== null) return granule;
    throw invalidOffset(offset, this.debug);
  }

  /** The granule that starts at an offset, −1 when there is none: offsets beyond 2^32 included. */
  granuleOf(offset: number): number {
    const granule = offset / GRANULE_BYTES;
    return Number.isInteger(granule) && granule >= 0 && offset < this.arena.sizeBytes ? granule : -1;
  }

  /** Whose live block starts at a granule; null when none does. */
  ownerOf(granule: number): Account | null {
    this.blocks.spare.settle();
    if (this.own.live.has(granule)) return this.own;
    const mark = this.marks.get(granule);
    if (mark !== undefined) return mark.account;
    for (const group of this.budgets.groups) if (group.live.has(granule)) return group;
    return null;
  }

  #granulesOf(granule: number): number {
    return this.blocks.classes.granules[this.blocks.classOfPage[granule >>> PAGE_SHIFT]];
  }

  freePageBytes(): number {
    return this.blocks.pages.freePages * PAGE_BYTES;
  }

  trimCaches(): void {
    this.blocks.trim();
  }

  warn(warning: SunstarError): void {
    this.options.onWarning(warning);
  }

  #rejectFree(offset: number, owner: Account | null): never {
    const lent = this.marks.get(this.granuleOf(offset))?.lent === true;
    throw invalidFree(offset, lent, owner, this.debug);
  }
}

function fail(account: Account): number {
  account.failedAllocations++;
  return -1;
}
