/** The place of a send in the tracker. */
const State = {
  Free: 0,
  /** Submitted: whether it takes its number is not known yet. */
  Begun: 1,
  /** Notified before it was known to be accepted. */
  BegunNotified: 2,
  /** Accepted: its memory is held. */
  Held: 3,
  /** Notified: its memory was let go; waits for those in front of it. */
  Done: 4,
} as const;

const TWO_POW_32 = 4294967296;
const MIN_CAPACITY = 8;

/** The most sends of one connection whose notifications have not come. */
export const MAX_TRACKED_SENDS = 65_536;

/**
 * Knows which memory the kernel may still read after zero-copy sends of one socket, and lets go of each piece
 * exactly once, when the kernel has said that it is done with it.
 *
 * Sends have consecutive 32-bit numbers that wrap: the kernel's own for `MSG_ZEROCOPY`, which counts only sends that
 * it accepted; the tracker's for io_uring's `SEND_ZC`. Both kinds of notification come in through
 * {@link complete}: in any order, in ranges, and, as far as this class cares, repeated or invented.
 *
 * The records are a ring indexed by the low bits of the number, so its capacity is a power of two; it doubles when it
 * is full and halves when three quarters are empty. What a range says takes effect at once; the front of the ring
 * moves only in {@link trim}, once for a batch of ranges.
 *
 * After Valkey's zero-copy tracker.
 */
export class ZeroCopyTracker<T> {
  readonly #release: (held: T) => void;
  #held: (T | null)[];
  #states: Uint8Array;
  #mask: number;
  #head: number;
  #length = 0;
  #inFlight = 0;
  #isOpen = false;
  #duplicates = 0;
  #unknown = 0;

  /**
   * @param release - Called once for everything that was given to {@link commit}.
   * @param firstSequence - Number of the first send, 0 to 2^32 − 1.
   */
  constructor(release: (held: T) => void, firstSequence = 0) {
    this.#release = release;
    this.#head = firstSequence >>> 0;
    this.#held = new Array<T | null>(MIN_CAPACITY).fill(null);
    this.#states = new Uint8Array(MIN_CAPACITY);
    this.#mask = MIN_CAPACITY - 1;
  }

  /** Sends that hold memory, or may come to hold it. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Records, those included that only wait for {@link trim}. */
  get length(): number {
    return this.#length;
  }

  /** Places of the ring. */
  get capacity(): number {
    return this.#mask + 1;
  }

  /** No further send can be tracked before notifications come. */
  get isFull(): boolean {
    return this.#length >= MAX_TRACKED_SENDS;
  }

  /** Numbers that were notified more than once. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** Numbers that were notified and never sent. */
  get unknown(): number {
    return this.#unknown;
  }

  /** A send is submitted. {@link commit} or {@link rollback} ends this before the next one begins. */
  begin(): number {
    if (this.#isOpen) throw new Error('A zero-copy send begins before the last one was accepted.');
    if (this.#length > this.#mask) this.#resize((this.#mask + 1) * 2);
    const sequence = (this.#head + this.#length) >>> 0;
    this.#states[sequence & this.#mask] = State.Begun;
    this.#length++;
    this.#inFlight++;
    this.#isOpen = true;
    return sequence;
  }

  /** The send that began last was accepted: `held` is released with its notification, or now if that came first. */
  commit(held: T): void {
    const at = this.#last();
    this.#isOpen = false;
    if (this.#states[at] === State.BegunNotified) {
      this.#states[at] = State.Done;
      this.#release(held);
      return;
    }
    this.#states[at] = State.Held;
    this.#held[at] = held;
  }

  /** The send that began last was not accepted: its number goes to the next one. */
  rollback(): void {
    const at = this.#last();
    this.#isOpen = false;
    if (this.#states[at] === State.BegunNotified) this.#unknown++;
    else this.#inFlight--;
    this.#states[at] = State.Free;
    this.#length--;
  }

  /**
   * The kernel is done with the sends `first` to `last`, both included and both 32-bit.
   *
   * @returns How many of them ended by this. The others are counted in {@link duplicates} and {@link unknown}.
   */
  complete(first: number, last: number): number {
    let count = ((last - first) >>> 0) + 1;
    let from = (first - this.#head) >>> 0;
    if (from >= this.#length) {
      // It begins behind the last record, or in front of the first one, and may reach into the records from there.
      const toHead = TWO_POW_32 - from;
      const outside = Math.min(count, toHead);
      // What was long ago and what is far ahead look alike: half of the numbers count as past.
      if (from >= TWO_POW_32 / 2) this.#duplicates += outside;
      else this.#unknown += outside;
      count -= outside;
      from = 0;
    }
    const inside = Math.min(count, this.#length - from);
    this.#unknown += count - inside;
    let ended = 0;
    for (let i = 0; i < inside; i++) {
      const at = (this.#head + from + i) & this.#mask;
      const state = this.#states[at];
      if (state === State.Held) {
        const held = this.#held[at] as T;
        this.#held[at] = null;
        this.#states[at] = State.Done;
        this.#inFlight--;
        ended++;
        this.#release(held);
      } else if (state === State.Begun) {
        this.#states[at] = State.BegunNotified;
        this.#inFlight--;
        ended++;
      } else this.#duplicates++;
    }
    return ended;
  }

  /** After a batch of notifications: drops the records at the front that are done, and memory that is not needed. */
  trim(): void {
    const states = this.#states;
    let head = this.#head;
    let length = this.#length;
    while (length > 0 && states[head & this.#mask] === State.Done) {
      states[head & this.#mask] = State.Free;
      head++;
      length--;
    }
    this.#head = head >>> 0;
    this.#length = length;
    let capacity = this.#mask + 1;
    while (capacity > MIN_CAPACITY && length <= capacity / 4) capacity /= 2;
    if (capacity <= this.#mask) this.#resize(capacity);
  }

  #last(): number {
    if (!this.#isOpen) throw new Error('No zero-copy send has begun.');
    return (this.#head + this.#length - 1) & this.#mask;
  }

  #resize(capacity: number): void {
    const held = new Array<T | null>(capacity).fill(null);
    const states = new Uint8Array(capacity);
    const mask = capacity - 1;
    for (let i = 0; i < this.#length; i++) {
      const from = (this.#head + i) & this.#mask;
      const to = (this.#head + i) & mask;
      held[to] = this.#held[from];
      states[to] = this.#states[from];
    }
    this.#held = held;
    this.#states = states;
    this.#mask = mask;
  }

  /** Throws when the records contradict each other. */
  invariants(): void {
    let inFlight = 0;
    let records = 0;
    for (let at = 0; at <= this.#mask; at++) {
      const state = this.#states[at];
      if ((state === State.Held) !== (this.#held[at] !== null))
        throw new Error(`record ${at} holds what it should not, or not what it should`);
      if (state !== State.Free) records++;
      if (state === State.Held || state === State.Begun) inFlight++;
    }
    if (records !== this.#length) throw new Error(`${records} records, but a length of ${this.#length}`);
    if (inFlight !== this.#inFlight) throw new Error(`${inFlight} in flight, ${this.#inFlight} counted`);
    for (let i = 0; i < this.#length; i++) {
      const state = this.#states[(this.#head + i) & this.#mask];
      if (state === State.Free) throw new Error(`a gap at ${i}`);
      const isOpen = state === State.Begun || state === State.BegunNotified;
      if (isOpen !== (this.#isOpen && i === this.#length - 1)) throw new Error(`record ${i} is open`);
    }
  }
}
