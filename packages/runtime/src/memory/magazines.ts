import { invariant } from './invariant.js';

/** At most this many blocks of one class are cached. */
export const MAX_MAGAZINE_BLOCKS = 240;

// A magazine is one strip of the array: its depth, its capacity, then the blocks, the newest last.
const STRIP_SHIFT = 8;
const CAPACITY = 1;
const BLOCKS = 2;

const NONE = -1;

/**
 * One last-in-first-out cache of free blocks per size class (magazines after Bonwick and Adams 2001).
 *
 * It is what makes the common allocation a few loads and stores: no split, no merge, no list. Blocks are granule
 * numbers. All magazines share one typed array, so that a hot class touches two cache lines.
 */
export class Magazines {
  readonly #strips: Int32Array;
  readonly #count: number;
  /** Requests of up to this size look here first; 0 switches the short way off. */
  limitBytes = 0;

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
    return this.#strips[sizeClass << STRIP_SHIFT];
  }

  capacity(sizeClass: number): number {
    return this.#strips[(sizeClass << STRIP_SHIFT) + CAPACITY];
  }

  /** The newest block of the class, or −1 when there is none. */
  pop(sizeClass: number): number {
    const strips = this.#strips;
    const strip = sizeClass << STRIP_SHIFT;
    const depth = strips[strip];
    if (depth === 0) return NONE;
    strips[strip] = depth - 1;
    return strips[strip + depth + (BLOCKS - 1)];
  }

  /** Caches a block. False, and nothing changed, when the magazine is full, or blocks of its class are not cached. */
  push(sizeClass: number, block: number): boolean {
    const strips = this.#strips;
    const strip = sizeClass << STRIP_SHIFT;
    const depth = strips[strip];
    if (depth >= strips[strip + CAPACITY]) return false;
    strips[strip + depth + BLOCKS] = block;
    strips[strip] = depth + 1;
    return true;
  }

  /** The block at `index` below {@link depth}, 0 being the oldest. */
  at(sizeClass: number, index: number): number {
    return this.#strips[(sizeClass << STRIP_SHIFT) + BLOCKS + index];
  }

  /** Forgets the `count` oldest blocks. */
  dropOldest(sizeClass: number, count: number): void {
    const strip = sizeClass << STRIP_SHIFT;
    const first = strip + BLOCKS;
    const depth = this.#strips[strip];
    this.#strips.copyWithin(first, first + count, first + depth);
    this.#strips[strip] = depth - count;
  }

  invariants(): void {
    for (let sizeClass = 0; sizeClass < this.#count; sizeClass++) {
      const depth = this.depth(sizeClass);
      invariant(depth >= 0 && depth <= this.capacity(sizeClass), 'a magazine is overfull', sizeClass);
    }
  }
}
