import { invariant } from './invariant.js';

const NONE = -1;

/**
 * A buddy allocator over pages (Knowlton 1965; free lists and eager merge as in Seastar).
 *
 * Blocks are 2^order pages and start on a multiple of their own size. There is one free list per order, and
 * a bit mask of the lists that are not empty. A freed block merges with its buddy at once, so that no two
 * free buddies of equal order ever coexist.
 *
 * Any page count is served: what is not a power of two starts as several blocks that have no buddy.
 * Everything lives in typed arrays beside the pages, none of it in the pages themselves.
 */
export class BuddyAllocator {
  readonly pageCount: number;
  /** The order of the largest block that can ever exist here. */
  readonly maxOrder: number;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** order + 1 on the first page of a free block, 0 on every other page. */
  readonly #freeOrder: Uint8Array;
  readonly #heads: Int32Array;
  readonly #blocks: Int32Array;
  /** Bit k is set when list k is not empty. */
  #nonEmpty = 0;
  #freePages = 0;

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    this.maxOrder = 31 - Math.clz32(pageCount);
    this.#next = new Int32Array(pageCount);
    this.#previous = new Int32Array(pageCount);
    // Reaches to a power of two, so that the buddy of a block is always in the array: beyond the last page
    // nothing is ever free.
    this.#freeOrder = new Uint8Array(2 ** (this.maxOrder + 1));
    this.#heads = new Int32Array(this.maxOrder + 1).fill(NONE);
    this.#blocks = new Int32Array(this.maxOrder + 1);
    for (let order = this.maxOrder, page = 0; order >= 0; order--) {
      if ((pageCount & (1 << order)) === 0) continue;
      this.#push(page, order);
      page += 1 << order;
    }
    this.#freePages = pageCount;
  }

  get freePages(): number {
    return this.#freePages;
  }

  /** How many free blocks of exactly this order there are. */
  freeBlocks(order: number): number {
    return this.#blocks[order];
  }

  /** Order of the free block that starts at `page`, or −1 when none does. */
  freeOrderAt(page: number): number {
    return this.#freeOrder[page] - 1;
  }

  /** Whether the page is in a free block. */
  isFree(page: number): boolean {
    for (let order = 0; order <= this.maxOrder; order++) {
      const mark = this.#freeOrder[page & (-1 << order)];
      if (mark > order) return true;
    }
    return false;
  }

  /** Order of the largest free block, or −1 when nothing is free. */
  get largestFreeOrder(): number {
    return 31 - Math.clz32(this.#nonEmpty);
  }

  /** Takes 2^order pages: the first page, or −1 when no block is large enough. */
  allocate(order: number): number {
    const candidates = this.#nonEmpty & (-1 << order);
    if (candidates === 0 || order > this.maxOrder) return NONE;
    let available = 31 - Math.clz32(candidates & -candidates);
    const page = this.#heads[available];
    this.#remove(page, available);
    while (available > order) {
      available--;
      this.#push(page + (1 << available), available);
    }
    this.#freePages -= 1 << order;
    return page;
  }

  /** Gives 2^order pages back; they are a block that {@link allocate} returned, or an aligned part of one. */
  free(page: number, order: number): void {
    this.#freePages += 1 << order;
    let first = page;
    let merged = order;
    while (merged < this.maxOrder) {
      const buddy = first ^ (1 << merged);
      if (this.#freeOrder[buddy] !== merged + 1) break;
      this.#remove(buddy, merged);
      first &= ~(1 << merged);
      merged++;
    }
    this.#push(first, merged);
  }

  /** Makes a taken block larger where it is; false, and nothing changed, when what follows it is not free. */
  extend(page: number, order: number, newOrder: number): boolean {
    if (newOrder > this.maxOrder || page % 2 ** newOrder !== 0) return false;
    for (let half = order; half < newOrder; half++) {
      if (this.#freeOrder[page + (1 << half)] !== half + 1) return false;
    }
    for (let half = order; half < newOrder; half++) this.#remove(page + (1 << half), half);
    this.#freePages -= 2 ** newOrder - 2 ** order;
    return true;
  }

  #push(page: number, order: number): void {
    const head = this.#heads[order];
    this.#next[page] = head;
    this.#previous[page] = NONE;
    if (head === NONE) this.#nonEmpty |= 1 << order;
    else this.#previous[head] = page;
    this.#heads[order] = page;
    this.#freeOrder[page] = order + 1;
    this.#blocks[order]++;
  }

  #remove(page: number, order: number): void {
    const next = this.#next[page];
    const previous = this.#previous[page];
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) this.#next[previous] = next;
    else {
      this.#heads[order] = next;
      if (next === NONE) this.#nonEmpty &= ~(1 << order);
    }
    this.#freeOrder[page] = 0;
    this.#blocks[order]--;
  }

  /** Throws when the free lists contradict each other or two free buddies of equal order coexist. */
  invariants(): void {
    let freePages = 0;
    for (let order = 0; order <= this.maxOrder; order++) {
      let blocks = 0;
      let previous = NONE;
      for (let page = this.#heads[order]; page !== NONE; page = this.#next[page]) {
        invariant(this.#freeOrder[page] === order + 1, 'a listed block is not marked free', page);
        invariant(this.#previous[page] === previous, 'a free list is broken', page);
        invariant(page % 2 ** order === 0, 'a free block is not aligned', page);
        invariant(page + 2 ** order <= this.pageCount, 'a free block is out of range', page);
        const hasBuddy = order < this.maxOrder && this.#freeOrder[page ^ (1 << order)] === order + 1;
        invariant(!hasBuddy, 'two free buddies are not merged', page);
        previous = page;
        blocks++;
      }
      invariant(blocks === this.#blocks[order], 'a free list has another length than counted', order);
      invariant(blocks > 0 === ((this.#nonEmpty & (1 << order)) !== 0), 'the mask of lists is wrong', order);
      freePages += blocks * 2 ** order;
    }
    invariant(freePages === this.#freePages, 'the free pages are counted wrong');
    let marked = 0;
    for (const mark of this.#freeOrder) if (mark !== 0) marked += 2 ** (mark - 1);
    invariant(marked === freePages, 'a page is marked free and in no list');
  }
}
