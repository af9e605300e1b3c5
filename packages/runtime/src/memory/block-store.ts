import type { LiveMap } from './live-map.js';
import { MAX_MAGAZINE_BLOCKS, Magazines } from './magazines.js';
import type { Space } from './memory-stats.js';
import { PageAllocator } from './page-allocator.js';
import { MAX_CACHED_BYTES, orderFor, PAGE_BYTES, SizeClasses } from './size-classes.js';
import { SpanPools } from './span-pools.js';
import { SpareBlock } from './spare-block.js';

/** A magazine caches at most this much, … */
const MAX_MAGAZINE_BYTES = 1024 * 1024;
/** … and at most this part of the arena. */
const MAGAZINE_PART = 64;

// Local on purpose, see shard-memory.ts.
const GRANULES_PER_PAGE = 512;
const PAGE_SHIFT = 9;
const FIRST_POOL_CLASS = 32;

/** Below this part of free pages, cached blocks are in the way of large ones: they merge with nothing. */
const PRESSURE_PART = 8;

/** How often the magazines are emptied then: so many times have they been found empty. */
const TRIM_INTERVAL = 64;

/** Bytes of a page as a power of two. */
const PAGE_BYTES_SHIFT = 12;

/** Order of blocks of 128 KiB. */
const CHUNK_ORDER = 5;

function pagesFor(sizeBytes: number): number {
  return Math.ceil(sizeBytes / PAGE_BYTES);
}

/** The alignment that a size of up to 128 KiB asks for, in pages, as a power of two. */
function alignmentFor(sizeBytes: number): number {
  return Math.max(0, 31 - PAGE_BYTES_SHIFT - Math.clz32(sizeBytes & -sizeBytes));
}

/**
 * Free blocks by size class, in three layers: magazines, pools of small objects, buddy allocator. Blocks are
 * granule numbers. Which blocks somebody holds, and whether a request makes sense, is the caller's business.
 *
 * A block in a magazine counts as taken for the layers below. So the buddy allocator's property, that free
 * buddies of equal order never coexist, holds for the arena as a whole after {@link trim}.
 */
export class BlockStore {
  readonly classes: SizeClasses;
  readonly pages: PageAllocator;
  readonly pools: SpanPools;
  readonly magazines: Magazines;
  readonly spare: SpareBlock;
  /** Class of the block that starts on a page, or of the span that covers it. */
  readonly classOfPage: Uint8Array;
  /** Bytes of the largest block there can ever be. */
  readonly maxBlockBytes: number;
  readonly sizeBytes: number;
  /** Blocks and runs of pages taken or cached, by class. */
  readonly #pageBlocks: Float64Array;
  /** With fewer free pages than this, the magazines are emptied now and then. */
  readonly #pressurePages: number;
  #takesUnderPressure = 0;

  /**
   * @param caching - False keeps every magazine empty.
   * @param live - Who holds the blocks that become spare.
   */
  constructor(sizeBytes: number, caching: boolean, live: LiveMap) {
    const pageCount = sizeBytes / PAGE_BYTES;
    this.sizeBytes = sizeBytes;
    this.#pressurePages = Math.floor(pageCount / PRESSURE_PART);
    this.classes = new SizeClasses(sizeBytes);
    this.pages = new PageAllocator(pageCount);
    this.maxBlockBytes = PAGE_BYTES * 2 ** this.pages.maxOrder;
    this.classOfPage = new Uint8Array(pageCount);
    this.pools = new SpanPools(this.classes, this.pages, this.classOfPage);
    this.#pageBlocks = new Float64Array(this.classes.count);
    const limitBytes = caching ? Math.min(MAX_MAGAZINE_BYTES, sizeBytes / MAGAZINE_PART) : 0;
    const capacity = (bytes: number): number =>
      bytes <= MAX_CACHED_BYTES ? Math.min(MAX_MAGAZINE_BLOCKS, Math.floor(limitBytes / bytes)) : 0;
    const capacities = Array.from(this.classes.bytes, capacity);
    // Runs are exceptions: they go back at once.
    this.magazines = new Magazines(capacities.fill(0, this.classes.firstRun));
    this.spare = new SpareBlock(live, this);
  }

  /** A block of the class from below the magazines, which are refilled on the way; −1 when there is none. */
  take(sizeClass: number, sizeBytes: number): number {
    if (this.pages.freePages < this.#pressurePages && ++this.#takesUnderPressure === TRIM_INTERVAL)
      this.trim();
    if (sizeClass < FIRST_POOL_CLASS) {
      if (sizeClass === CHUNK_ORDER && sizeBytes <= MAX_CACHED_BYTES) {
        const run = this.pages.allocateSparing(pagesFor(sizeBytes), alignmentFor(sizeBytes));
        if (run >= 0) return this.#run(sizeBytes, run);
      }
      const page = this.pages.allocateBlock(sizeClass);
      if (page < 0) return -1;
      this.classOfPage[page] = sizeClass;
      this.#pageBlocks[sizeClass]++;
      return page * GRANULES_PER_PAGE;
    }
    let block = this.pools.take(sizeClass);
    if (block < 0) {
      if (!this.pools.grow(sizeClass)) return -1;
      block = this.pools.take(sizeClass);
    }
    // Half a magazine at a time, so that neither a run of allocations nor one of frees comes here each time.
    const { magazines } = this;
    for (let room = (magazines.capacity(sizeClass) >>> 1) - magazines.depth(sizeClass); room > 0; room--) {
      const extra = this.pools.take(sizeClass);
      if (extra < 0) break;
      magazines.push(sizeClass, extra);
    }
    return block;
  }

  /**
   * As {@link take}, but empties the magazines, and as a last resort gives just as many pages as are needed,
   * aligned no more than the size asks for.
   */
  takeAnyhow(sizeClass: number, sizeBytes: number): number {
    this.trim();
    const block = this.take(sizeClass, sizeBytes);
    if (block >= 0 || sizeBytes > MAX_CACHED_BYTES) return block;
    return this.#run(sizeBytes, this.pages.allocateAnywhere(pagesFor(sizeBytes), alignmentFor(sizeBytes)));
  }

  /** Makes a block of just the pages that hold `sizeBytes`; `page` may be −1. */
  #run(sizeBytes: number, page: number): number {
    if (page < 0) return -1;
    const run = this.classes.firstRun + pagesFor(sizeBytes) - 1;
    this.classOfPage[page] = run;
    this.#pageBlocks[run]++;
    return page * GRANULES_PER_PAGE;
  }

  /** Gives a block back; a magazine may have it, and so anybody, when it is not kept for a group. */
  put(sizeClass: number, block: number, isForAnybody: boolean): void {
    if (!isForAnybody) this.release(sizeClass, block);
    else if (!this.magazines.push(sizeClass, block)) this.give(sizeClass, block);
  }

  /** Gives a block back that did not fit into a magazine. */
  give(sizeClass: number, block: number): void {
    const { magazines } = this;
    if (magazines.capacity(sizeClass) === 0) {
      this.release(sizeClass, block);
    } else {
      this.#spill(sizeClass, (magazines.capacity(sizeClass) + 1) >>> 1);
      magazines.push(sizeClass, block);
    }
  }

  /** Gives a block back to where it came from, past the magazines. */
  release(sizeClass: number, block: number): void {
    if (sizeClass < FIRST_POOL_CLASS) {
      this.#pageBlocks[sizeClass]--;
      this.pages.freeBlock(block >>> PAGE_SHIFT, sizeClass);
    } else if (sizeClass < this.classes.firstRun) {
      this.pools.give(sizeClass, block);
    } else {
      this.#pageBlocks[sizeClass]--;
      this.pages.freeAnywhere(block >>> PAGE_SHIFT, sizeClass - this.classes.firstRun + 1);
    }
  }

  /** The class that a taken block has after it gave up what `sizeBytes` does not need; objects of pools keep theirs. */
  classWithin(sizeClass: number, sizeBytes: number): number {
    if (sizeClass < FIRST_POOL_CLASS) return Math.min(sizeClass, orderFor(sizeBytes));
    return sizeClass < this.classes.firstRun ? sizeClass : this.classes.firstRun + pagesFor(sizeBytes) - 1;
  }

  /** Makes a taken block smaller and frees its tail. */
  shrink(block: number, kept: number): void {
    const page = block >>> PAGE_SHIFT;
    const sizeClass = this.classOfPage[page];
    this.classOfPage[page] = kept;
    this.#pageBlocks[sizeClass]--;
    this.#pageBlocks[kept]++;
    if (sizeClass >= this.classes.firstRun) {
      const keptPages = kept - this.classes.firstRun + 1;
      this.pages.freeAnywhere(page + keptPages, sizeClass - kept);
    } else {
      for (let half = sizeClass - 1; half >= kept; half--) this.pages.freeBlock(page + 2 ** half, half);
    }
  }

  /** Makes a taken block of pages larger where it is; false, and nothing changed, when what follows is not free. */
  extend(block: number, order: number): boolean {
    const page = block >>> PAGE_SHIFT;
    const before = this.classOfPage[page];
    if (!this.pages.extendBlock(page, before, order)) return false;
    this.classOfPage[page] = order;
    this.#pageBlocks[before]--;
    this.#pageBlocks[order]++;
    return true;
  }

  /** Empties the magazines, so that every free block merges with its free buddy. */
  trim(): void {
    this.spare.settle();
    this.#takesUnderPressure = 0;
    for (let sizeClass = 0; sizeClass < this.classes.count; sizeClass++) {
      this.#spill(sizeClass, this.magazines.depth(sizeClass));
    }
  }

  /** Releases the oldest `count` blocks of a magazine. */
  #spill(sizeClass: number, count: number): void {
    if (count === 0) return;
    for (let index = 0; index < count; index++) this.release(sizeClass, this.magazines.at(sizeClass, index));
    this.magazines.dropOldest(sizeClass, count);
  }

  /** Free bytes in blocks that can serve a request of `sizeBytes`, without emptying the magazines. */
  usableBytes(sizeBytes: number): number {
    this.spare.settle();
    const { classes, pages, magazines } = this;
    const order = orderFor(sizeBytes);
    const usablePages =
      sizeBytes <= MAX_CACHED_BYTES
        ? pages.usableAnywhere(pagesFor(sizeBytes), alignmentFor(sizeBytes))
        : pages.usablePages(2 ** order, order);
    let usable = usablePages * PAGE_BYTES;
    for (let larger = order; larger <= pages.maxOrder; larger++) {
      usable += magazines.depth(larger) * classes.bytes[larger];
    }
    const sizeClass = classes.of(sizeBytes);
    if (sizeClass < FIRST_POOL_CLASS) return usable;
    const objects = magazines.depth(sizeClass) + this.pools.freeObjects(sizeClass);
    return usable + objects * classes.bytes[sizeClass];
  }

  /** Blocks of a class that are neither free nor cached. */
  liveBlocks(sizeClass: number): number {
    const { classes, pools, magazines } = this;
    const isPool = sizeClass >= FIRST_POOL_CLASS && sizeClass < classes.firstRun;
    const taken = isPool
      ? pools.spans(sizeClass) * classes.spanObjects[sizeClass] - pools.freeObjects(sizeClass)
      : this.#pageBlocks[sizeClass];
    return taken - magazines.depth(sizeClass);
  }

  space(): Space {
    this.spare.settle();
    const { bytes, count, spanObjects, firstRun } = this.classes;
    let freeBytes = this.pages.freePages * PAGE_BYTES;
    let cachedBytes = 0;
    let wasteBytes = 0;
    let liveBlocks = 0;
    for (let sizeClass = 0; sizeClass < count; sizeClass++) {
      cachedBytes += this.magazines.depth(sizeClass) * bytes[sizeClass];
      liveBlocks += this.liveBlocks(sizeClass);
      if (sizeClass < FIRST_POOL_CLASS || sizeClass >= firstRun) continue;
      freeBytes += this.pools.freeObjects(sizeClass) * bytes[sizeClass];
      const spanWaste = this.pools.spanBytes(sizeClass) - spanObjects[sizeClass] * bytes[sizeClass];
      wasteBytes += this.pools.spans(sizeClass) * spanWaste;
    }
    freeBytes += cachedBytes;
    const largestOrder = this.pages.largestFreeOrder;
    return {
      totalBytes: this.sizeBytes,
      usedBytes: this.sizeBytes - freeBytes - wasteBytes,
      freeBytes,
      cachedBytes,
      wasteBytes,
      largestFreeBlockBytes: largestOrder < 0 ? 0 : PAGE_BYTES * 2 ** largestOrder,
      liveBlocks,
    };
  }

  invariants(): void {
    this.spare.invariants();
    this.pages.invariants();
    this.pools.invariants();
    this.magazines.invariants();
  }
}
