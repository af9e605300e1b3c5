import { SunstarError } from '../errors.js';
import { SLOT_WORDS } from './layout.js';

/**
 * Messages that found their ring full, in order: a private growing ring of slots on the JavaScript heap.
 * Costs nothing until the first message; 64 bytes a message, and never shrinks below its high-water mark.
 */
export class SlotQueue {
  readonly #limit: number;
  #words: Int32Array = new Int32Array(0);
  #capacity = 0;
  #head = 0;
  #length = 0;

  /** @param limit - The largest number of messages, at least 1. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Number of messages. */
  get length(): number {
    return this.#length;
  }

  /** The memory of the messages; changes when the queue grows. */
  get words(): Int32Array {
    return this.#words;
  }

  /** The first word of the oldest message; only when there is one. */
  get first(): number {
    return this.#head * SLOT_WORDS;
  }

  /** Appends a message, which is copied. False when the queue is at its limit. */
  tryPush(source: Int32Array, at: number, words: number): boolean {
    if (this.#length >= this.#limit) return false;
    if (this.#length === this.#capacity) this.#grow();
    const slot = ((this.#head + this.#length) & (this.#capacity - 1)) * SLOT_WORDS;
    for (let word = 0; word < words; word++) this.#words[slot + word] = source[at + word];
    this.#length++;
    return true;
  }

  /** Forgets the oldest message; only when there is one. */
  shift(): void {
    this.#head = (this.#head + 1) & (this.#capacity - 1);
    this.#length--;
  }

  /** Forgets everything and gives the memory back. */
  clear(): void {
    this.#words = new Int32Array(0);
    this.#capacity = 0;
    this.#head = 0;
    this.#length = 0;
  }

  invariants(): void {
    const ok =
      this.#length >= 0 &&
      this.#length <= this.#capacity &&
      this.#length <= this.#limit &&
      (this.#capacity & (this.#capacity - 1)) === 0 &&
      this.#words.length === this.#capacity * SLOT_WORDS &&
      (this.#capacity === 0 ? this.#head === 0 : this.#head < this.#capacity);
    if (!ok) {
      throw new SunstarError(
        'SUNSTAR_BROKEN_INVARIANT',
        `A slot queue is inconsistent: head ${this.#head}, length ${this.#length}, capacity ${this.#capacity}.`,
      );
    }
  }

  #grow(): void {
    const capacity = this.#capacity === 0 ? 64 : this.#capacity * 2;
    const words = new Int32Array(capacity * SLOT_WORDS);
    // The oldest message moves to the front: [head, capacity) first, then [0, head).
    const front = this.#words.subarray(this.#head * SLOT_WORDS);
    words.set(front);
    words.set(this.#words.subarray(0, this.#head * SLOT_WORDS), front.length);
    this.#words = words;
    this.#capacity = capacity;
    this.#head = 0;
  }
}
