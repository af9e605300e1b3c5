import { SunstarError } from './errors.js';

const INITIAL_SLOTS = 16;

/** First in, first out, in an array that doubles when it is full. Whoever fills it bounds it. */
export class RingBuffer<T> {
  #slots: (T | undefined)[] = new Array<T | undefined>(INITIAL_SLOTS);
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    if (this.#size === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#size) & (this.#slots.length - 1)] = item;
    this.#size++;
  }

  /** Must not be empty. */
  shift(): T {
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#size--;
    return item as T;
  }

  clear(): void {
    this.#slots = new Array<T | undefined>(INITIAL_SLOTS);
    this.#head = this.#size = 0;
  }

  /** Throws when the state contradicts itself, or when more slots are held than `limit` allows. For tests. */
  invariants(limit: number = Number.POSITIVE_INFINITY): void {
    const { length } = this.#slots;
    let sound = this.#size >= 0 && this.#size <= length && length <= limit;
    for (let i = this.#size; i < length; i++) {
      sound &&= this.#slots[(this.#head + i) & (length - 1)] === undefined;
    }
    if (!sound) {
      throw new SunstarError(
        'SUNSTAR_BROKEN_INVARIANT',
        `A ring buffer of ${length} slots keeps what it has given out, or holds more than it may: ${this.#size}.`,
      );
    }
  }

  #grow(): void {
    const { length } = this.#slots;
    const larger = new Array<T | undefined>(2 * length);
    for (let i = 0; i < length; i++) larger[i] = this.#slots[(this.#head + i) & (length - 1)];
    this.#slots = larger;
    this.#head = 0;
  }
}
