/**
 * Which blocks the application holds: one bit per granule, set on the first granule of a live block.
 *
 * One bit answers every question that makes a `free` invalid: a block that is free already, the middle of a
 * block, an offset that was never given out. It costs 1/64 of the arena in address space, and memory only
 * where the arena is used.
 */
export class LiveMap {
  readonly #words: Int32Array;

  constructor(granules: number) {
    this.#words = new Int32Array(Math.ceil(granules / 32));
  }

  // A shift count is taken modulo 32, so `1 << granule` is the granule's bit in its word.

  add(granule: number): void {
    this.#words[granule >>> 5] |= 1 << granule;
  }

  has(granule: number): boolean {
    const word = granule >>> 5;
    return word < this.#words.length && (this.#words[word] & (1 << granule)) !== 0;
  }

  /** Removes the granule; false when it was not there, or is out of range. */
  delete(granule: number): boolean {
    const words = this.#words;
    const word = granule >>> 5;
    if (word >= words.length) return false;
    const bits = words[word];
    const rest = bits & ~(1 << granule);
    if (rest === bits) return false;
    words[word] = rest;
    return true;
  }

  /** Every granule in the map, ascending. */
  *values(): Generator<number> {
    for (let word = 0; word < this.#words.length; word++) {
      for (let bits = this.#words[word]; bits !== 0; bits &= bits - 1) {
        yield word * 32 + 31 - Math.clz32(bits & -bits);
      }
    }
  }
}
