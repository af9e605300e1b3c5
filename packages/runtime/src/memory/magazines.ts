import { invariant } from './invariant.js';

/** At most this many blocks of one class are cached, besides the newest of all. */
export const MAX_MAGAZINE_BLOCKS = 240;

// A magazine is one strip of the array: its depth, its capacity, then the blocks, the newest last.
const STRIP_SHIFT = 8;
const CAPACITY = 1;
const BLOCKS = 2;

const NONE = -1;

/**
 * One last-in-first-out cache of free blocks per size class (magazines after Bonwick and Adams 2001).
 *
 * It is what makes the common allocation a few loads and stores: no split, no merge, no list. The block that was
 * freed last, of whatever class, is not even put into its magazine: taking it back touches two fields only,
 * and buffers are mostly freed and allocated in turns. Blocks are granule numbers. All magazines share one
 * typed array, so that a hot class touches two cache lines.
 */
export class Magazines {
  readonly #strips: Int32Array;
  readonly #count: number;
  /** Requests of up to this size look here first; 0 switches the short way off. */
  limitBytes = 0;
  /** The block that was freed last, and its class; −1 when there is none at hand. */
  #newest = NONE;
  #newestClass = NONE;

  /** @param capacities - By class; 0 means that blocks of the class are never cached. */
  constructor(capacities: readonly number[]) {
    this.#count = capacities.length;
    this.#strips = new Int32Array(capacities.length << STRIP_SHIFT);
    for (const [index, capacity] of capacities.entries()) {
      this.#strips[(index << STRIP_SHIFT) + CAPACITY] = Math.min(capacity, MAX_MAGAZINE_BLOCKS);
    }
  }

  /** How many blocks of the class are cached. */
  depth(sizeClass: number): number {
    return this.#strips[sizeClass << STRIP_SHIFT] + (this.#newestClass === sizeClass ? 1 : 0);
  }

  capacity(sizeClass: number): number {
    return this.#strips[(sizeClass << STRIP_SHIFT) + CAPACITY];
  }

  /** Class of the block that was freed last, or −1. */
  get newestClass(): number {
    return this.#newestClass;
  }

  /** The newest block of the class, or −1 when there is none. */
  pop(sizeClass: number): number {
    if (sizeClass === this.#newestClass) {
      this.#newestClass = NONE;
      return this.#newest;
    }
    const strips = this.#strips;
    const strip = sizeClass << STRIP_SHIFT;
    const depth = strips[strip];
    if (depth === 0) return NONE;
    strips[strip] = depth - 1;
    return strips[strip + depth + (BLOCKS - 1)];
  }

  /**
   * Caches a block. False, and nothing changed, when blocks of its class are not cached, or when the magazine
   * of {@link newestClass}, which has to make room, is full.
   */
  push(sizeClass: number, block: number): boolean {
    const strips = this.#strips;
    if (strips[(sizeClass << STRIP_SHIFT) + CAPACITY] === 0) return false;
    const newestClass = this.#newestClass;
    if (newestClass >= 0) {
      const strip = newestClass << STRIP_SHIFT;
      const depth = strips[strip];
      if (depth >= strips[strip + CAPACITY]) return false;
      strips[strip + depth + BLOCKS] = this.#newest;
      strips[strip] = depth + 1;
    }
    this.#newest = block;
    this.#newestClass = sizeClass;
    return true;
  }

  /** Adds a block below {@link newestClass}; the magazine must not be full. */
  fill(sizeClass: number, block: number): void {
    const strip = sizeClass << STRIP_SHIFT;
    const depth = this.#strips[strip];
    this.#strips[strip + depth + BLOCKS] = block;
    this.#strips[strip] = depth + 1;
  }

  /** The block at `index` below {@link depth}, 0 being the oldest. */
  at(sizeClass: number, index: number): number {
    const strip = sizeClass << STRIP_SHIFT;
    return index < this.#strips[strip] ? this.#strips[strip + BLOCKS + index] : this.#newest;
  }

  /** Forgets the `count` oldest blocks. */
  dropOldest(sizeClass: number, count: number): void {
    const strip = sizeClass << STRIP_SHIFT;
    const first = strip + BLOCKS;
    const depth = this.#strips[strip];
    if (count > depth) this.#newestClass = NONE;
    const dropped = Math.min(count, depth);
    this.#strips.copyWithin(first, first + dropped, first + depth);
    this.#strips[strip] = depth - dropped;
  }

  invariants(): void {
    for (let sizeClass = 0; sizeClass < this.#count; sizeClass++) {
      const depth = this.#strips[sizeClass << STRIP_SHIFT];
      invariant(depth >= 0 && depth <= this.capacity(sizeClass), 'a magazine is overfull', sizeClass);
    }
    invariant(
      this.#newestClass === NONE || this.capacity(this.#newestClass) > 0,
      'an uncached class is cached',
    );
  }
}
