import { SunstarError } from '../errors.js';
import { type ControlLayout, SLOT_WORDS } from './layout.js';

/*
 * A ring with one producer and one consumer (Lamport 1983), with each side's stale copy of the other's
 * index so that the shared lines move only when a side believes the ring full or empty (FastForward and
 * MCRingBuffer; Seastar's smp queues do the same).
 *
 * Head and tail count messages, wrap at 32 bits, and are only touched with Atomics. Slots are plain
 * memory reached through a non-shared alias of the same bytes: the atomic store of the tail publishes
 * what was written before it, the atomic store of the head gives back what was read before it.
 */

/** Views of one control block that a shard holds once and gives to all its rings. */
export interface ControlViews {
  /** Over the SharedArrayBuffer, with an explicit length: for Atomics. */
  readonly shared: Int32Array;
  /** Over the non-shared alias of the same memory: for slots. */
  readonly slots: Int32Array;
  readonly layout: ControlLayout;
}

/** The writing end of a ring. Belongs to the shard `from`. */
export class SpscProducer {
  readonly #shared: Int32Array;
  readonly #slots: Int32Array;
  readonly #slotsWord: number;
  readonly #tailWord: number;
  readonly #headWord: number;
  readonly #roomWantedWord: number;
  readonly #capacity: number;
  #tail: number;
  #published: number;
  #seenHead: number;

  constructor(views: ControlViews, from: number, to: number) {
    const { layout } = views;
    this.#shared = views.shared;
    this.#slots = views.slots;
    this.#slotsWord = layout.slotsWord(from, to);
    this.#tailWord = layout.tailWord(from, to);
    this.#headWord = layout.headWord(from, to);
    this.#roomWantedWord = layout.roomWantedWord(from, to);
    this.#capacity = layout.slots;
    this.#tail = Atomics.load(this.#shared, this.#tailWord);
    this.#published = this.#tail;
    this.#seenHead = Atomics.load(this.#shared, this.#headWord);
  }

  /**
   * The next slot, to be written in place: `commit()` makes it a message, without that it stays free.
   *
   * @returns Its first word, −1 when the ring is full.
   */
  claim(): number {
    const tail = this.#tail;
    if (((tail - this.#seenHead) | 0) === this.#capacity) {
      this.#seenHead = Atomics.load(this.#shared, this.#headWord);
      if (((tail - this.#seenHead) | 0) === this.#capacity) return -1;
    }
    return this.#slotsWord + (tail & (this.#capacity - 1)) * SLOT_WORDS;
  }

  /** The slot that was claimed last holds a message, which is not visible before `publish()`. */
  commit(): void {
    this.#tail = (this.#tail + 1) | 0;
  }

  /**
   * Copies a message into the next slot, unless the ring is full. It is not visible before `publish()`.
   *
   * @param source - Where the message lies.
   * @param at - Its first word.
   * @param words - How many words of it count, 1–16.
   */
  tryWrite(source: Int32Array, at: number, words: number): boolean {
    const slot = this.claim();
    if (slot < 0) return false;
    const slots = this.#slots;
    for (let word = 0; word < words; word++) slots[slot + word] = source[at + word];
    this.commit();
    return true;
  }

  /** Lets the consumer see everything that was written. */
  publish(): void {
    this.#published = this.#tail;
    Atomics.store(this.#shared, this.#tailWord, this.#tail);
  }

  /** Whether something was written and not published. */
  get unpublished(): boolean {
    return this.#published !== this.#tail;
  }

  /**
   * Asks the consumer to say when it has made room. Look once more for room after it: the consumer may
   * have read its last message before it could see the wish.
   */
  wantRoom(): void {
    Atomics.store(this.#shared, this.#roomWantedWord, 1);
  }

  /** Free slots, freshly looked up. */
  room(): number {
    this.#seenHead = Atomics.load(this.#shared, this.#headWord);
    return this.#capacity - ((this.#tail - this.#seenHead) | 0);
  }

  invariants(): void {
    const used = (this.#tail - Atomics.load(this.#shared, this.#headWord)) | 0;
    const seen = (this.#tail - this.#seenHead) | 0;
    const published = (this.#tail - this.#published) | 0;
    const ok =
      used >= 0 &&
      used <= seen &&
      seen <= this.#capacity &&
      published >= 0 &&
      published <= this.#capacity &&
      Atomics.load(this.#shared, this.#tailWord) === this.#published;
    if (!ok) throw broken(`tail ${this.#tail}, published ${this.#published}, head seen ${this.#seenHead}`);
  }
}

/** The reading end of a ring. Belongs to the shard `to`. */
export class SpscConsumer {
  readonly #shared: Int32Array;
  readonly #slots: Int32Array;
  readonly #slotsWord: number;
  readonly #tailWord: number;
  readonly #headWord: number;
  readonly #roomWantedWord: number;
  readonly #capacity: number;
  /** What {@link fetch} saw; without a use the engine would leave the loads out. */
  fetched = 0;
  #head: number;
  #released: number;
  #seenTail: number;

  constructor(views: ControlViews, from: number, to: number) {
    const { layout } = views;
    this.#shared = views.shared;
    this.#slots = views.slots;
    this.#slotsWord = layout.slotsWord(from, to);
    this.#tailWord = layout.tailWord(from, to);
    this.#headWord = layout.headWord(from, to);
    this.#roomWantedWord = layout.roomWantedWord(from, to);
    this.#capacity = layout.slots;
    this.#head = Atomics.load(this.#shared, this.#headWord);
    this.#released = this.#head;
    this.#seenTail = this.#head;
  }

  /** How many messages can be read; looks at the tail only when it knows of none. */
  available(): number {
    if (this.#seenTail === this.#head) this.#seenTail = Atomics.load(this.#shared, this.#tailWord);
    return (this.#seenTail - this.#head) | 0;
  }

  /**
   * Reads one word of each of the next slots, so that their lines come from the other core all at the same time and not
   * one after the other as the messages are handled.
   *
   * @param count - At most as many as are available.
   */
  fetch(count: number): void {
    const slots = this.#slots;
    const mask = this.#capacity - 1;
    const first = this.#slotsWord;
    let seen = 0;
    for (let index = 0; index < count; index++)
      seen |= slots[first + ((this.#head + index) & mask) * SLOT_WORDS];
    this.fetched = seen;
  }

  /**
   * Takes the next message; only after `available()` said that there is one.
   * The slot may be read until `release()`.
   *
   * @returns The first word of its slot.
   */
  take(): number {
    const head = this.#head;
    this.#head = (head + 1) | 0;
    return this.#slotsWord + (head & (this.#capacity - 1)) * SLOT_WORDS;
  }

  /**
   * Gives the slots of all taken messages back to the producer.
   *
   * @returns Whether the producer waits for room: then it must be told.
   */
  release(): boolean {
    if (this.#released !== this.#head) {
      this.#released = this.#head;
      Atomics.store(this.#shared, this.#headWord, this.#head);
    }
    return (
      Atomics.load(this.#shared, this.#roomWantedWord) === 1 &&
      Atomics.compareExchange(this.#shared, this.#roomWantedWord, 1, 0) === 1
    );
  }

  invariants(): void {
    const used = (Atomics.load(this.#shared, this.#tailWord) - this.#head) | 0;
    const seen = (this.#seenTail - this.#head) | 0;
    const taken = (this.#head - this.#released) | 0;
    const ok =
      seen >= 0 &&
      seen <= used &&
      taken >= 0 &&
      used + taken <= this.#capacity &&
      Atomics.load(this.#shared, this.#headWord) === this.#released;
    if (!ok) throw broken(`head ${this.#head}, released ${this.#released}, tail seen ${this.#seenTail}`);
  }
}

function broken(state: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_BROKEN_INVARIANT',
    `A cross-shard ring is inconsistent (${state}). Something wrote over the control block.`,
  );
}
