import { BuddyAllocator } from './buddy.js';
import { invariant } from './invariant.js';
import { ALIGNED, alignUp, countOnes, findRun, longestRun, mask, runsIn } from './page-bits.js';

const NONE = -1;

/** Pages of a chunk: as many as an Int32 has bits. */
const CHUNK_PAGES = 32;
const CHUNK_SHIFT = 5;
const CHUNK_ORDER = 5;

/** Whole chunks are few below this part of all chunks, … */
const FEW_CHUNKS_PART = 4;
/** … and the last ones below this part: kept for what fits nowhere else. */
const LAST_CHUNKS_PART = 64;

/** How many chunks of one list are tried before the next list is. */
const TRIES = 8;

/** What a chunk is cut up for: spans of objects, which live long, or blocks. */
export const FOR_SPANS = 0;
export const FOR_BLOCKS = 1;

/**
 * Pages of the arena, in blocks and runs.
 *
 * A buddy allocator hands out chunks of 32 pages (128 KiB) and blocks of 2^k chunks. Smaller pieces are cut out
 * of chunks whose free pages are one 32-bit word each: runs of any number of pages, at the alignment that the
 * caller needs and no more. A piece is cut from the chunk whose longest free run is the shortest that holds it,
 * so that what is nearly full gets full and what is nearly empty gets empty: that keeps whole chunks free
 * however small the pieces are. A chunk that is empty goes back to the buddy allocator at once, and merges.
 */
export class PageAllocator {
  readonly pageCount: number;
  readonly buddy: BuddyAllocator;
  /** Pages that {@link allocate} leaves free: a caller's promise to others. */
  keepFreePages = 0;
  /** Free pages of each chunk that is cut up; 0 for those that the buddy allocator has or gave out whole. */
  readonly #free: Int32Array;
  /** Length of the longest free run in each chunk that is in a list, else 0. */
  readonly #longest: Uint8Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** {@link FOR_SPANS} or {@link FOR_BLOCKS}, for chunks that are cut up. */
  readonly #use: Uint8Array;
  /** First chunk, by use and length of its longest free run. */
  readonly #heads: Int32Array = new Int32Array(2 * CHUNK_PAGES).fill(NONE);
  /** By use: bit k is set when list k is not empty. */
  readonly #nonEmpty: Int32Array = new Int32Array(2);
  /** Free pages in chunks that are cut up. */
  #loosePages = 0;
  /** With fewer whole chunks than this, blocks of less than a chunk look for other places. */
  readonly #fewChunks: number;
  /** With fewer whole chunks than this, every other place is tried before one is cut up. */
  readonly #lastChunks: number;

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    const wholeChunks = pageCount >>> CHUNK_SHIFT;
    this.buddy = new BuddyAllocator(wholeChunks);
    const chunks = Math.ceil(pageCount / CHUNK_PAGES);
    this.#fewChunks = Math.floor(chunks / FEW_CHUNKS_PART);
    this.#lastChunks = Math.floor(chunks / LAST_CHUNKS_PART);
    this.#free = new Int32Array(chunks);
    this.#longest = new Uint8Array(chunks);
    this.#use = new Uint8Array(chunks);
    this.#next = new Int32Array(chunks);
    this.#previous = new Int32Array(chunks);
    // What is left beyond the last whole chunk is a chunk that can never be empty.
    const rest = pageCount % CHUNK_PAGES;
    if (rest > 0) this.freeRun(wholeChunks * CHUNK_PAGES, rest);
  }

  get freePages(): number {
    return this.buddy.freePages * CHUNK_PAGES + this.#loosePages;
  }

  /** Order of the largest block there can ever be. */
  get maxOrder(): number {
    return this.buddy.maxOrder + CHUNK_ORDER;
  }

  /** Takes 2^order pages, aligned to as many: the first page, or −1 when there are none. */
  allocateBlock(order: number): number {
    // Shifts, because `2 ** order` is computed in floating point.
    if (order < CHUNK_ORDER) return this.allocateRun(1 << order, order, FOR_BLOCKS);
    if (this.keepFreePages !== 0 && this.freePages - (1 << order) < this.keepFreePages) return NONE;
    const chunk = this.buddy.allocate(order - CHUNK_ORDER);
    return chunk === NONE ? NONE : chunk * CHUNK_PAGES;
  }

  /** Gives back what {@link allocateBlock} returned, or an aligned part of it. */
  freeBlock(page: number, order: number): void {
    if (order < CHUNK_ORDER) this.freeRun(page, 1 << order);
    else this.buddy.free(page >>> CHUNK_SHIFT, order - CHUNK_ORDER);
  }

  /** Makes a block of {@link allocateBlock} larger where it is; false when its place or its neighbours do not allow it. */
  extendBlock(page: number, order: number, newOrder: number): boolean {
    const more = 2 ** newOrder - 2 ** order;
    if (newOrder > this.maxOrder || page % 2 ** newOrder !== 0) return false;
    if (this.freePages - more < this.keepFreePages) return false;
    const chunk = page >>> CHUNK_SHIFT;
    if (newOrder > CHUNK_ORDER) {
      const from = Math.max(order, CHUNK_ORDER);
      if (order < CHUNK_ORDER && !this.#restIsFree(page, order, CHUNK_ORDER)) return false;
      if (!this.buddy.extend(chunk, from - CHUNK_ORDER, newOrder - CHUNK_ORDER)) return false;
    } else if (!this.#restIsFree(page, order, newOrder)) {
      return false;
    }
    if (order < CHUNK_ORDER) {
      const end = Math.min(2 ** newOrder, CHUNK_PAGES);
      this.#cut(chunk, (page + 2 ** order) % CHUNK_PAGES, end - 2 ** order);
    }
    return true;
  }

  /** Whether the rest of a larger block within the chunk is free. */
  #restIsFree(page: number, order: number, newOrder: number): boolean {
    const rest = mask(page + 2 ** order, 2 ** newOrder - 2 ** order);
    return (this.#free[page >>> CHUNK_SHIFT] & rest) === rest;
  }

  /**
   * Takes a run of pages within one chunk: the first page, a multiple of 2^alignmentOrder, or −1.
   *
   * @param pages - 1 to 31.
   * @param use - {@link FOR_SPANS} or {@link FOR_BLOCKS}.
   */
  allocateRun(pages: number, alignmentOrder: number, use: number): number {
    if (this.freePages - pages < this.keepFreePages) return NONE;
    let found = this.#searchQuickly(pages, alignmentOrder, use);
    if (found === NONE && this.buddy.freePages <= this.#lastChunks)
      found = this.#searchAll(pages, alignmentOrder);
    if (found !== NONE) return found;
    const chunk = this.buddy.allocate(0);
    if (chunk === NONE) return NONE;
    this.#loosePages += CHUNK_PAGES;
    this.#free[chunk] = -1;
    this.#use[chunk] = use;
    return this.#cut(chunk, 0, pages);
  }

  /**
   * Takes a run without cutting up a whole chunk, when whole chunks are scarce; −1 when they are not, or when
   * there is no such run.
   */
  allocateSparing(pages: number, alignmentOrder: number): number {
    const chunks = this.buddy.freePages;
    if (chunks > this.#fewChunks || this.freePages - pages < this.keepFreePages) return NONE;
    if (pages < CHUNK_PAGES) {
      const found = this.#searchQuickly(pages, alignmentOrder, FOR_BLOCKS);
      if (found !== NONE) return found;
    }
    return chunks > this.#lastChunks ? NONE : this.allocateAnywhere(pages, alignmentOrder);
  }

  /**
   * Takes a run that may reach over the borders of chunks, wherever there is one: exact, and slow in proportion
   * to the arena. For when {@link allocateRun} has found nothing.
   */
  allocateAnywhere(pages: number, alignmentOrder: number): number {
    if (this.freePages - pages < this.keepFreePages) return NONE;
    let start = 0;
    let end = 0;
    for (let page = 0; page < this.pageCount; ) {
      const length = this.#free[page >>> CHUNK_SHIFT] === 0 ? 0 : this.#freeFrom(page);
      if (length === 0) {
        page += this.#takenFrom(page);
        continue;
      }
      if (page !== end) start = alignUp(page, alignmentOrder);
      page += length;
      end = page;
      if (end - start < pages) continue;
      this.#takeAcross(start, pages);
      return start;
    }
    return NONE;
  }

  #takeAcross(start: number, pages: number): void {
    for (let page = start; page < start + pages; ) {
      const chunk = page >>> CHUNK_SHIFT;
      const length = Math.min(start + pages, (chunk + 1) * CHUNK_PAGES) - page;
      this.#cut(chunk, page % CHUNK_PAGES, length);
      page += length;
    }
  }

  /** Gives back what {@link allocateAnywhere} returned. */
  freeAnywhere(start: number, pages: number): void {
    for (let page = start; page < start + pages; ) {
      const length = Math.min(start + pages, ((page >>> CHUNK_SHIFT) + 1) * CHUNK_PAGES) - page;
      this.freeRun(page, length);
      page += length;
    }
  }

  /** Gives back pages of one chunk. */
  freeRun(page: number, pages: number): void {
    const chunk = page >>> CHUNK_SHIFT;
    const free = this.#free[chunk] | mask(page, pages);
    this.#loosePages += pages;
    if (free === -1) {
      this.#loosePages -= CHUNK_PAGES;
      this.#free[chunk] = 0;
      this.#list(chunk, 0);
      this.buddy.free(chunk, 0);
    } else {
      this.#free[chunk] = free;
      this.#list(chunk, longestRun(free));
    }
  }

  /** The pages that lie in places where a run of `pages` fits, overlapping ones included. */
  usablePages(pages: number, alignmentOrder: number): number {
    let usable = 0;
    const order = pages <= CHUNK_PAGES ? 0 : 32 - Math.clz32(pages - 1) - CHUNK_ORDER;
    for (let larger = order; larger <= this.buddy.maxOrder; larger++) {
      usable += this.buddy.freeBlocks(larger) * 2 ** larger * CHUNK_PAGES;
    }
    if (pages >= CHUNK_PAGES) return usable;
    for (let chunk = 0; chunk < this.#free.length; chunk++) {
      if (this.#longest[chunk] < pages) continue;
      let covered = runsIn(this.#free[chunk], pages) & ALIGNED[alignmentOrder];
      for (let length = 1; length < pages; ) {
        const more = Math.min(length, pages - length);
        covered |= covered << more;
        length += more;
      }
      usable += countOnes(covered);
    }
    return usable;
  }

  /** The pages of all free stretches, over the borders of chunks, that {@link allocateAnywhere} could serve from. */
  usableAnywhere(pages: number, alignmentOrder: number): number {
    let usable = 0;
    let start = 0;
    let end = 0;
    const count = (): void => {
      if (end - alignUp(start, alignmentOrder) >= pages) usable += end - start;
    };
    for (let page = 0; page < this.pageCount; ) {
      const length = this.#freeFrom(page);
      if (page !== end || length === 0) {
        count();
        start = page;
      }
      page += length === 0 ? this.#takenFrom(page) : length;
      end = length === 0 ? start : page;
    }
    count();
    return usable;
  }

  /** Free pages from this one to the next taken one, or to the end of its chunk or free block. */
  #freeFrom(page: number): number {
    const chunk = page >>> CHUNK_SHIFT;
    const taken = ~(this.#free[chunk] >>> page);
    const rest = CHUNK_PAGES - (page % CHUNK_PAGES);
    const length = taken === 0 ? rest : Math.min(rest, 31 - Math.clz32(taken & -taken));
    if (length > 0 || rest < CHUNK_PAGES || chunk >= this.buddy.pageCount) return length;
    const order = this.buddy.freeOrderAt(chunk);
    return order < 0 ? 0 : CHUNK_PAGES * 2 ** order;
  }

  /** Taken pages from this one on within its chunk. */
  #takenFrom(page: number): number {
    const free = this.#free[page >>> CHUNK_SHIFT] >>> page;
    return free === 0 ? CHUNK_PAGES - (page % CHUNK_PAGES) : 31 - Math.clz32(free & -free);
  }

  /** Order of the largest free block, −1 when nothing is free. */
  get largestFreeOrder(): number {
    const whole = this.buddy.largestFreeOrder;
    if (whole >= 0) return whole + CHUNK_ORDER;
    for (let order = CHUNK_ORDER - 1; order >= 0; order--) {
      if (this.usablePages(2 ** order, order) > 0) return order;
    }
    return NONE;
  }

  /** Whether the page is in no block and no run. For tests: a page in the middle of a block is slow. */
  isFree(page: number): boolean {
    const chunk = page >>> CHUNK_SHIFT;
    return (this.#free[chunk] & (1 << page)) !== 0 || this.buddy.isFree(chunk);
  }

  #searchQuickly(pages: number, alignmentOrder: number, use: number): number {
    const lists = use * CHUNK_PAGES;
    for (let left = this.#nonEmpty[use] & (-1 << pages); left !== 0; left &= left - 1) {
      let chunk = this.#heads[lists + 31 - Math.clz32(left & -left)];
      for (let tries = 0; tries < TRIES && chunk !== NONE; tries++, chunk = this.#next[chunk]) {
        const at = findRun(this.#free[chunk], pages, alignmentOrder);
        if (at >= 0) return this.#cut(chunk, at, pages);
      }
    }
    return NONE;
  }

  /** Every chunk that has a free run: exact, for when the quick search found none. */
  #searchAll(pages: number, alignmentOrder: number): number {
    for (let chunk = 0; chunk < this.#free.length; chunk++) {
      if (this.#longest[chunk] < pages) continue;
      const at = findRun(this.#free[chunk], pages, alignmentOrder);
      if (at >= 0) return this.#cut(chunk, at, pages);
    }
    return NONE;
  }

  #cut(chunk: number, at: number, pages: number): number {
    const free = this.#free[chunk] & ~mask(at, pages);
    this.#free[chunk] = free;
    this.#loosePages -= pages;
    this.#list(chunk, longestRun(free));
    return chunk * CHUNK_PAGES + at;
  }

  /** Moves a chunk into the list of those with this longest run; 0 is no list. */
  #list(chunk: number, longest: number): void {
    const before = this.#longest[chunk];
    if (before === longest) return;
    const next = this.#next;
    const previous = this.#previous;
    const heads = this.#heads;
    const use = this.#use[chunk];
    if (before !== 0) {
      const after = next[chunk];
      const ahead = previous[chunk];
      if (after !== NONE) previous[after] = ahead;
      if (ahead !== NONE) next[ahead] = after;
      else {
        heads[use * CHUNK_PAGES + before] = after;
        if (after === NONE) this.#nonEmpty[use] &= ~(1 << before);
      }
    }
    this.#longest[chunk] = longest;
    if (longest === 0) return;
    const list = use * CHUNK_PAGES + longest;
    const head = heads[list];
    next[chunk] = head;
    previous[chunk] = NONE;
    if (head === NONE) this.#nonEmpty[use] |= 1 << longest;
    else previous[head] = chunk;
    heads[list] = chunk;
  }

  /** Throws when the lists and the words contradict each other. */
  invariants(): void {
    this.buddy.invariants();
    let loose = 0;
    let listed = 0;
    for (let chunk = 0; chunk < this.#free.length; chunk++) {
      const free = this.#free[chunk];
      loose += countOnes(free);
      if (free !== 0) listed++;
      invariant(free !== -1, 'an empty chunk was not given back', chunk);
      invariant(this.#longest[chunk] === longestRun(free), 'a chunk is in a wrong list', chunk);
      invariant(
        free === 0 || chunk >= this.buddy.pageCount || this.buddy.freeOrderAt(chunk) < 0,
        'a chunk is free whole and in parts',
        chunk,
      );
    }
    invariant(loose === this.#loosePages, 'the free pages are counted wrong');
    for (let list = 0; list < this.#heads.length; list++) {
      const longest = list % CHUNK_PAGES;
      const use = (list - longest) / CHUNK_PAGES;
      let previous = NONE;
      for (let chunk = this.#heads[list]; chunk !== NONE; chunk = this.#next[chunk]) {
        invariant(
          this.#longest[chunk] === longest && this.#use[chunk] === use,
          'a list has a chunk of another',
          chunk,
        );
        invariant(this.#previous[chunk] === previous, 'a list of chunks is broken', chunk);
        previous = chunk;
        listed--;
      }
      const marked = (this.#nonEmpty[use] & (1 << longest)) !== 0;
      invariant(marked === (this.#heads[list] !== NONE), 'the mask of lists is wrong', longest);
    }
    invariant(listed === 0, 'a chunk with free pages is in no list');
  }
}
