import { invariant } from './invariant.js';
import { FOR_BLOCKS, FOR_SPANS, type PageAllocator } from './page-allocator.js';
import { FIRST_POOL_CLASS, PAGE_BYTES, type SizeClasses } from './size-classes.js';

const NONE = -1;

// As in size-classes.ts, but not imported: see the note in shard-memory.ts.
const GRANULES_PER_PAGE = 512;
const PAGE_SHIFT = 9;

/** 32-bit words of the free map per page: enough for a page full of granules, each one an object. */
const WORDS_PER_PAGE = 16;

/**
 * Pools of small objects: every size class carves spans of pages into objects of one size.
 *
 * A span's free objects are a bit map, found by the span's first page; the spans of a class that have a free
 * object form a list. An empty span goes back to the page allocator at once. Objects are granule numbers.
 */
export class SpanPools {
  readonly #classes: SizeClasses;
  readonly #pages: PageAllocator;
  readonly #classOfPage: Uint8Array;
  /** Pages from the span's first page to this one. */
  readonly #toHead: Uint8Array;
  /** Bit map of free objects; a span's begins at the words of its first page. */
  readonly #free: Int32Array;
  /** Free objects of a span, by first page. */
  readonly #freeInSpan: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** First span with a free object, by class. */
  readonly #heads: Int32Array;
  readonly #freeObjects: Int32Array;
  readonly #spans: Int32Array;

  /** @param classOfPage - The owner's page table; pages of a span carry its class here, others are below it. */
  constructor(classes: SizeClasses, pages: PageAllocator, classOfPage: Uint8Array) {
    this.#classes = classes;
    this.#pages = pages;
    this.#classOfPage = classOfPage;
    this.#toHead = new Uint8Array(pages.pageCount);
    this.#free = new Int32Array(pages.pageCount * WORDS_PER_PAGE);
    this.#freeInSpan = new Int32Array(pages.pageCount);
    this.#next = new Int32Array(pages.pageCount);
    this.#previous = new Int32Array(pages.pageCount);
    this.#heads = new Int32Array(classes.count).fill(NONE);
    this.#freeObjects = new Int32Array(classes.count);
    this.#spans = new Int32Array(classes.count);
  }

  /** Free objects in the spans of a class. */
  freeObjects(sizeClass: number): number {
    return this.#freeObjects[sizeClass];
  }

  /** Spans that a class holds. */
  spans(sizeClass: number): number {
    return this.#spans[sizeClass];
  }

  /** Takes an object from a span that has one, without asking for pages; −1 when there is none. */
  take(sizeClass: number): number {
    const head = this.#heads[sizeClass];
    if (head === NONE) return NONE;
    const first = head * WORDS_PER_PAGE;
    // From the top, so that a magazine filled this way hands objects out in ascending order.
    let word = first + ((this.#classes.spanObjects[sizeClass] - 1) >>> 5);
    while (this.#free[word] === 0) word--;
    const bit = 31 - Math.clz32(this.#free[word]);
    this.#free[word] ^= 1 << bit;
    this.#freeObjects[sizeClass]--;
    if (--this.#freeInSpan[head] === 0) this.#remove(head, sizeClass);
    const index = (word - first) * 32 + bit;
    return head * GRANULES_PER_PAGE + index * this.#classes.granules[sizeClass];
  }

  /** Gets one more span for a class; false when there are no pages. */
  grow(sizeClass: number): boolean {
    const pages = this.#classes.spanPages[sizeClass];
    const objects = this.#classes.spanObjects[sizeClass];
    const use = objects === 1 ? FOR_BLOCKS : FOR_SPANS;
    const page = this.#pages.allocateRun(pages, this.#classes.spanAlignment[sizeClass], use);
    if (page === NONE) return false;
    const first = page * WORDS_PER_PAGE;
    this.#free.fill(-1, first, first + (objects >>> 5));
    if (objects % 32 !== 0) this.#free[first + (objects >>> 5)] = (1 << objects) - 1;
    for (let index = 0; index < pages; index++) {
      this.#classOfPage[page + index] = sizeClass;
      this.#toHead[page + index] = index;
    }
    this.#freeInSpan[page] = objects;
    this.#freeObjects[sizeClass] += objects;
    this.#spans[sizeClass]++;
    this.#push(page, sizeClass);
    return true;
  }

  /** Gives back an object that {@link take} returned. */
  give(sizeClass: number, granule: number): void {
    const head = this.spanOf(granule);
    const index = (granule - head * GRANULES_PER_PAGE) / this.#classes.granules[sizeClass];
    this.#free[head * WORDS_PER_PAGE + (index >>> 5)] |= 1 << index;
    this.#freeObjects[sizeClass]++;
    const freeInSpan = ++this.#freeInSpan[head];
    const objects = this.#classes.spanObjects[sizeClass];
    if (freeInSpan === 1) this.#push(head, sizeClass);
    if (freeInSpan < objects) return;
    this.#remove(head, sizeClass);
    this.#freeInSpan[head] = 0;
    this.#freeObjects[sizeClass] -= objects;
    this.#spans[sizeClass]--;
    this.#free.fill(0, head * WORDS_PER_PAGE, head * WORDS_PER_PAGE + ((objects + 31) >>> 5));
    const pages = this.#classes.spanPages[sizeClass];
    for (let index = 0; index < pages; index++) this.#classOfPage[head + index] = 0;
    this.#pages.freeRun(head, pages);
  }

  /** First page of the span that holds an object. */
  spanOf(granule: number): number {
    const page = granule >>> PAGE_SHIFT;
    return page - this.#toHead[page];
  }

  /** Whether the object is in its span, free. */
  isFree(sizeClass: number, granule: number): boolean {
    const head = this.spanOf(granule);
    const index = (granule - head * GRANULES_PER_PAGE) / this.#classes.granules[sizeClass];
    return (this.#free[head * WORDS_PER_PAGE + (index >>> 5)] & (1 << index)) !== 0;
  }

  #push(page: number, sizeClass: number): void {
    const head = this.#heads[sizeClass];
    this.#next[page] = head;
    this.#previous[page] = NONE;
    if (head !== NONE) this.#previous[head] = page;
    this.#heads[sizeClass] = page;
  }

  #remove(page: number, sizeClass: number): void {
    const next = this.#next[page];
    const previous = this.#previous[page];
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) this.#next[previous] = next;
    else this.#heads[sizeClass] = next;
  }

  /** Bytes of a span, tail waste included. */
  spanBytes(sizeClass: number): number {
    return PAGE_BYTES * this.#classes.spanPages[sizeClass];
  }

  /** Throws when lists, counts and bit maps contradict each other. */
  invariants(): void {
    const pages = new Int32Array(this.#classes.count);
    for (const sizeClass of this.#classOfPage) pages[sizeClass]++;
    for (let sizeClass = FIRST_POOL_CLASS; sizeClass < this.#classes.firstRun; sizeClass++) {
      let listed = 0;
      let previous = NONE;
      for (let page = this.#heads[sizeClass]; page !== NONE; page = this.#next[page]) {
        const free = this.#freeInSpan[page];
        invariant(this.#previous[page] === previous, 'a list of spans is broken', page);
        invariant(this.#classOfPage[page] === sizeClass, 'a span is in the list of another class', page);
        invariant(free > 0, 'a span without a free object is listed', page);
        invariant(free < this.#classes.spanObjects[sizeClass], 'an empty span was not given back', page);
        invariant(
          this.#countFree(page, sizeClass) === free,
          'the free objects of a span are miscounted',
          page,
        );
        listed += free;
        previous = page;
      }
      invariant(
        listed === this.#freeObjects[sizeClass],
        'the free objects of a class are miscounted',
        sizeClass,
      );
      invariant(
        pages[sizeClass] * PAGE_BYTES === this.#spans[sizeClass] * this.spanBytes(sizeClass),
        'the spans of a class are miscounted',
        sizeClass,
      );
    }
  }

  #countFree(page: number, sizeClass: number): number {
    let free = 0;
    for (let index = 0; index < this.#classes.spanObjects[sizeClass]; index++) {
      const granule = page * GRANULES_PER_PAGE + index * this.#classes.granules[sizeClass];
      if (this.isFree(sizeClass, granule)) free++;
    }
    return free;
  }
}
