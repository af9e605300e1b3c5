import { invariant } from './errors.js';

const INITIAL_SLOTS = 16;

/** First in, first out, in an array that doubles when it is full. */
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

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    invariant(this.#size >= 0 && this.#size <= this.#slots.length, 'the items fit into their slots');
    for (let i = this.#size; i < this.#slots.length; i++) {
      const slot = this.#slots[(this.#head + i) & (this.#slots.length - 1)];
      invariant(slot === undefined, 'free slots keep nothing alive');
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
