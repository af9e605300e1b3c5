import { SunstarError } from '@sunstar/runtime';
import { EXPIRY_DOUBLE, TIMER_NEXT_WORD, TIMER_PREVIOUS_WORD } from './entries.js';
import { type EntryVisitor, wordOf } from './hash-table.js';
import { NONE } from './store-memory.js';

/** The wheel's resolution. What clients see is exact: the store looks at the clock whenever it finds a key. */
const TICK_MS = 64;
const SLOT_BITS = 6;
const SLOTS = 1 << SLOT_BITS;
/** Six levels of 64 slots reach 64^6 ticks, 139 years; what lies beyond is looked at again then. */
const LEVELS = 6;
const HORIZON_TICKS = SLOTS ** LEVELS;

/** TIMER_PREVIOUS_WORD of the first entry of slot s is `FIRST_OF_SLOT - s`. */
const FIRST_OF_SLOT = -2;

/**
 * Finds the entries whose time has come without looking at the others: a hierarchical timing wheel (Varghese
 * and Lauck 1987). Slots are doubly linked lists through the entries themselves, so setting an expiry needs no
 * memory and removing an entry costs nothing extra.
 *
 * Time is cut into ticks. The slots of level 0 hold one tick each, those of level k 64^k ticks; when the wheel
 * comes to a slot of a higher level, its entries move to lower ones.
 */
export class ExpiryWheel {
  readonly #int32: Int32Array;
  readonly #float64: Float64Array;
  readonly #heads: Int32Array = new Int32Array(LEVELS * SLOTS).fill(NONE);
  /** The last tick that was finished. */
  #tick = 0;
  #size = 0;

  /** @param memory - The arena with the entries, whose expiry is set before they are added. */
  constructor(memory: { readonly int32: Int32Array; readonly float64: Float64Array }) {
    this.#int32 = memory.int32;
    this.#float64 = memory.float64;
  }

  /** Number of entries with an expiry. */
  get size(): number {
    return this.#size;
  }

  /** Whether the entry is in the wheel. */
  has(entry: number): boolean {
    return this.#int32[wordOf(entry) + TIMER_PREVIOUS_WORD] !== NONE;
  }

  /** Adds an entry that is not in the wheel. */
  add(entry: number, nowMs: number): void {
    // An empty wheel has nothing to catch up with.
    if (this.#size === 0) this.#tick = Math.floor(nowMs / TICK_MS);
    this.#size++;
    this.#link(entry);
  }

  /** Removes an entry, if it is in the wheel. */
  remove(entry: number): void {
    const int32 = this.#int32;
    const word = wordOf(entry);
    const previous = int32[word + TIMER_PREVIOUS_WORD];
    if (previous === NONE) return;
    const next = int32[word + TIMER_NEXT_WORD];
    if (previous <= FIRST_OF_SLOT) this.#heads[FIRST_OF_SLOT - previous] = next;
    else int32[wordOf(previous) + TIMER_NEXT_WORD] = next;
    if (next !== NONE) int32[wordOf(next) + TIMER_PREVIOUS_WORD] = previous;
    int32[word + TIMER_PREVIOUS_WORD] = NONE;
    int32[word + TIMER_NEXT_WORD] = NONE;
    this.#size--;
  }

  /**
   * Turns the wheel to the present. Entries that have expired leave it and go to `visitor`, which releases them.
   * When the clock is set back, the wheel waits until it has caught up.
   *
   * @param budget - Bounds the work: entries touched and slots passed. The next call goes on where it ended.
   * @returns What is left of the budget; 0 when there may be more to do.
   */
  advance(nowMs: number, budget: number, visitor: EntryVisitor): number {
    const present = Math.floor(nowMs / TICK_MS);
    let left = budget;
    while (this.#size > 0 && this.#tick < present) {
      const tick = this.#tick + 1;
      for (let level = LEVELS - 1; level > 0; level--) {
        const width = SLOTS ** level;
        if (tick % width !== 0) continue;
        const slot = slotAt(level, tick / width);
        for (let entry = this.#heads[slot]; entry !== NONE; entry = this.#heads[slot]) {
          if (left-- <= 0) return 0;
          this.remove(entry);
          this.#size++;
          this.#link(entry);
        }
      }
      const slot = slotAt(0, tick);
      for (let entry = this.#heads[slot]; entry !== NONE; entry = this.#heads[slot]) {
        if (left-- <= 0) return 0;
        this.remove(entry);
        visitor.visit(entry);
      }
      if (left-- <= 0) return 0;
      this.#tick = Math.min(tick + this.#emptyTicks(tick), present);
    }
    return Math.max(left, 0);
  }

  /** Forgets everything. The entries keep their links: they must be on their way out. */
  clear(): void {
    this.#heads.fill(NONE);
    this.#size = 0;
  }

  /** Throws unless the lists are sound and hold `size` entries. For tests: slow. */
  invariants(): void {
    const int32 = this.#int32;
    let count = 0;
    for (let slot = 0; slot < this.#heads.length; slot++) {
      let expected = FIRST_OF_SLOT - slot;
      for (let entry = this.#heads[slot]; entry !== NONE; entry = int32[wordOf(entry) + TIMER_NEXT_WORD]) {
        if (int32[wordOf(entry) + TIMER_PREVIOUS_WORD] !== expected || ++count > this.#size) {
          throw new SunstarError('SUNSTAR_INVARIANT', `The expiry wheel's slot ${slot} has a broken link.`);
        }
        expected = entry;
      }
    }
    if (count !== this.#size) {
      throw new SunstarError(
        'SUNSTAR_INVARIANT',
        `The expiry wheel has ${count} entries, not ${this.#size}.`,
      );
    }
  }

  #link(entry: number): void {
    const int32 = this.#int32;
    const next = this.#tick + 1;
    const expiryTick = Math.ceil(this.#float64[entry + EXPIRY_DOUBLE] / TICK_MS);
    const tick = Math.min(Math.max(expiryTick, next), next + HORIZON_TICKS - 1);
    let level = 0;
    let width = 1;
    for (; tick - next >= width * SLOTS; width *= SLOTS) level++;
    const slot = slotAt(level, Math.floor(tick / width));
    const head = this.#heads[slot];
    const word = wordOf(entry);
    int32[word + TIMER_PREVIOUS_WORD] = FIRST_OF_SLOT - slot;
    int32[word + TIMER_NEXT_WORD] = head;
    if (head !== NONE) int32[wordOf(head) + TIMER_PREVIOUS_WORD] = entry;
    this.#heads[slot] = entry;
  }

  /**
   * How many ticks after `tick` certainly have nothing to do. At the border of a level whose lower levels are
   * all empty a whole slot of it is passed at once, so that a jump of the clock costs a few steps, not one a tick.
   */
  #emptyTicks(tick: number): number {
    let empty = 0;
    for (let level = 0, width = SLOTS; level < LEVELS - 1 && tick % width === 0; level++, width *= SLOTS) {
      for (let slot = 0; slot < SLOTS; slot++) {
        if (this.#heads[level * SLOTS + slot] !== NONE) return empty;
      }
      empty = width - 1;
    }
    return empty;
  }
}

/** Index of the slot of a level that covers slot number `number` since the epoch. */
function slotAt(level: number, number: number): number {
  return level * SLOTS + (number % SLOTS);
}
