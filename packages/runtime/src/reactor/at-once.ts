const INITIAL_ENTRIES = 64;

/**
 * Operations that are over when the kernel has taken them, and that say so only if they failed, in the order in which
 * they were queued; with the result that each has if nothing is said.
 */
export class AtOnceList {
  #ids: Int32Array = new Int32Array(INITIAL_ENTRIES);
  #results: Int32Array = new Int32Array(INITIAL_ENTRIES);
  #head = 0;
  #tail = 0;

  /** How many nobody has looked at since they were queued; some of them may have failed, and been told of, already. */
  get count(): number {
    return this.#tail - this.#head;
  }

  add(id: number, result: number): void {
    if (this.#tail === this.#ids.length) this.#makeRoom();
    this.#ids[this.#tail] = id;
    this.#results[this.#tail++] = result;
  }

  /** The oldest one's id; there must be one. */
  get id(): number {
    return this.#ids[this.#head];
  }

  /** The oldest one's result. */
  get result(): number {
    return this.#results[this.#head];
  }

  /** Forgets the oldest one. */
  shift(): void {
    if (++this.#head < this.#tail) return;
    this.#head = 0;
    this.#tail = 0;
  }

  #makeRoom(): void {
    if (this.#head > this.#ids.length / 2) {
      this.#ids.copyWithin(0, this.#head, this.#tail);
      this.#results.copyWithin(0, this.#head, this.#tail);
      this.#tail -= this.#head;
      this.#head = 0;
      return;
    }
    const ids = new Int32Array(this.#ids.length * 2);
    const results = new Int32Array(ids.length);
    ids.set(this.#ids);
    results.set(this.#results);
    this.#ids = ids;
    this.#results = results;
  }
}
