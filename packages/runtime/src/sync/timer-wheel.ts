import { SunstarError } from '../errors.js';
import { checkInteger, invalidOption, invariant, misuse } from './errors.js';
import { MAX_DELAY_MS, Timer, type Timers } from './timer.js';

const BITS = 5;
const SLOTS = 1 << BITS;
const SLOT_MASK = SLOTS - 1;
/** 7 × 5 bits cover the 32 of a tick; the last level has 4 slots in use, and wraps. */
const LEVELS = 7;
const DEFAULT_MAX_TIMERS = 1_048_576;
/** Ticks are compared on a circle of 2^32: whatever is armed must lie in the half ahead. */
const MAX_AHEAD = 2 ** 31 - 1;

/** Options of a {@link TimerWheel}. */
export interface TimerWheelOptions {
  /** Where time begins. @default 0 */
  readonly nowMs?: number;
  /** Timers that can be armed at once, 1 to 2^31 − 1. @default 1048576 */
  readonly maxTimers?: number;
  /** What becomes of a timer that has expired and is disarmed. @default its `onExpired()` is called */
  readonly expire?: (timer: Timer) => void;
}

/**
 * A hierarchical timing wheel with ticks of a millisecond, after Varghese and Lauck: arming and cancelling take
 * constant time and allocate nothing. It knows no clock: time is what {@link advance} says.
 *
 * A timer is filed by the highest bit in which its tick differs from the current one, so that everything on a level
 * is due before anything on the levels above, and each timer moves down at most once per level.
 */
export class TimerWheel implements Timers {
  /** Sentinels of circular lists, level by level. */
  readonly #slots: Timer[] = [];
  /** One bit for each slot of a level that is not empty. */
  readonly #occupied = new Int32Array(LEVELS);
  /** Timers whose tick is running: others may cancel them while the first ones run. */
  readonly #due: Timer = sentinel();
  readonly #maxTimers: number;
  readonly #startMs: number;
  readonly #expire: (timer: Timer) => void;
  #tick = 0;
  /** The same as a number that does not wrap. */
  #ticksSinceStart = 0;
  #nowMs: number;
  #size = 0;
  #isAdvancing = false;

  constructor(options: TimerWheelOptions = {}) {
    this.#maxTimers = checkInteger('maxTimers', options.maxTimers ?? DEFAULT_MAX_TIMERS, 1, MAX_AHEAD);
    this.#expire = options.expire ?? callExpired;
    this.#startMs = this.#nowMs = options.nowMs ?? 0;
    if (!Number.isFinite(this.#nowMs)) throw invalidOption('nowMs', this.#nowMs, 'a finite number');
    for (let slot = 0; slot < LEVELS * SLOTS; slot++) this.#slots.push(sentinel());
  }

  /** The time of the last {@link advance}. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many timers are armed. */
  get size(): number {
    return this.#size;
  }

  arm(timer: Timer, delayMs: number): void {
    this.armAt(timer, this.#nowMs, delayMs);
  }

  /**
   * {@link arm}, with a delay that counts from `fromMs`: the clock of the caller, which may be ahead of the wheel.
   */
  armAt(timer: Timer, fromMs: number, delayMs: number): void {
    if (!(delayMs >= 0 && delayMs <= MAX_DELAY_MS)) {
      throw invalidOption('delayMs', delayMs, `from 0 to ${MAX_DELAY_MS}`);
    }
    if (timer.wheelNext !== null) this.#unlink(timer);
    else if (this.#size === this.#maxTimers) throw tooManyTimers(this.#maxTimers);
    else if (this.#size++ === 0 && fromMs > this.#nowMs) this.#skipTo(fromMs);
    const ahead = Math.ceil(fromMs + delayMs - this.#startMs - this.#ticksSinceStart);
    timer.wheelTick = (this.#tick + Math.min(Math.max(ahead, 1), MAX_AHEAD)) | 0;
    this.#file(timer);
  }

  cancel(timer: Timer): boolean {
    if (timer.wheelNext === null) return false;
    this.#unlink(timer);
    timer.wheelNext = timer.wheelPrevious = null;
    this.#size--;
    return true;
  }

  /**
   * The earliest time at which {@link advance} has something to do: that of the next timer, or earlier when timers
   * have to be moved to a finer level. Infinity when none is armed.
   */
  get nextMs(): number {
    const ticks = this.#ticksToNext();
    return ticks < 0 ? Number.POSITIVE_INFINITY : this.#startMs + this.#ticksSinceStart + ticks;
  }

  /**
   * Lets time pass and runs the timers that are due, in the order of their ticks, and within a tick in the order in
   * which they were armed. An error of one does not keep the others from running; it becomes an uncaught exception.
   *
   * @param nowMs - An earlier time than the last one changes nothing.
   * @throws SunstarError `SUNSTAR_SYNC_MISUSE` when it is called by a timer, `SUNSTAR_INVALID_OPTION`
   */
  advance(nowMs: number): void {
    if (this.#isAdvancing) throw misuse('A timer must not advance the wheel that runs it.');
    if (!Number.isFinite(nowMs)) throw invalidOption('nowMs', nowMs, 'a finite number');
    if (nowMs <= this.#nowMs) return;
    this.#nowMs = nowMs;
    const target = Math.floor(nowMs - this.#startMs);
    this.#isAdvancing = true;
    try {
      for (;;) {
        const remaining = target - this.#ticksSinceStart;
        const next = this.#ticksToNext();
        if (next >= 0 && next <= remaining) {
          this.#step(next);
          this.#expandOrRun();
        } else {
          this.#step(remaining);
          return;
        }
      }
    } finally {
      this.#isAdvancing = false;
    }
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    let size = 0;
    for (let index = 0; index < this.#slots.length; index++) {
      const head = this.#slots[index];
      const isMarked = (this.#occupied[(index / SLOTS) | 0] & (1 << (index & SLOT_MASK))) !== 0;
      invariant((head.wheelNext !== head) === isMarked, `bit of slot ${index}`);
      for (let timer = head.wheelNext; timer !== head; timer = timer?.wheelNext ?? null) {
        invariant(timer !== null && timer.wheelSlot === index, `timer in slot ${index}`);
        invariant(timer?.wheelNext?.wheelPrevious === timer, 'links go both ways');
        if (timer !== null) invariant(this.#slotOf(timer.wheelTick) === index, 'timer is where it belongs');
        size++;
      }
    }
    invariant(size === this.#size, `${this.#size} timers counted, ${size} found`);
    invariant(this.#tick === (this.#ticksSinceStart | 0), 'both counts of ticks agree');
  }

  /** Lets time pass in a wheel where nothing is armed: nobody advances it meanwhile. */
  #skipTo(nowMs: number): void {
    if (this.#isAdvancing) return;
    this.#nowMs = nowMs;
    this.#step(Math.floor(nowMs - this.#startMs) - this.#ticksSinceStart);
  }

  #step(ticks: number): void {
    this.#ticksSinceStart += ticks;
    this.#tick = this.#ticksSinceStart | 0;
  }

  /** Ticks until the earliest slot begins that holds a timer; −1 without one. */
  #ticksToNext(): number {
    for (let level = 0; level < LEVELS; level++) {
      const bits = this.#occupied[level];
      if (bits === 0) continue;
      const shift = level * BITS;
      const here = (this.#tick >>> shift) & SLOT_MASK;
      // On the last level, the four slots form a circle; on the others, nothing is behind.
      const ahead = level === LEVELS - 1 ? (bits >>> here) | (bits << (4 - here)) : bits >>> here;
      const distance = 31 - Math.clz32(ahead & -ahead);
      // Unsigned, and from the beginning of the current slot.
      const sinceSlotBegan = level === 0 ? 0 : this.#tick & ((1 << shift) - 1);
      return distance * 2 ** shift - sinceSlotBegan;
    }
    return -1;
  }

  /** Runs what is due at the current tick, and files again what is due in the slots that begin with it. */
  #expandOrRun(): void {
    for (let level = LEVELS - 1; level >= 0; level--) {
      const shift = level * BITS;
      if ((this.#tick & ((1 << shift) - 1)) !== 0) continue;
      const slot = (this.#tick >>> shift) & SLOT_MASK;
      const mark = 1 << slot;
      if ((this.#occupied[level] & mark) === 0) continue;
      this.#occupied[level] &= ~mark;
      takeAll(this.#slots[level * SLOTS + slot], this.#due);
      if (level === 0) this.#run();
      else this.#refile();
    }
  }

  #refile(): void {
    const due = this.#due;
    for (let timer = due.wheelNext; timer !== null && timer !== due; ) {
      const next: Timer | null = timer.wheelNext;
      this.#file(timer);
      timer = next;
    }
    due.wheelNext = due.wheelPrevious = due;
  }

  #run(): void {
    const due = this.#due;
    for (let timer = due.wheelNext; timer !== null && timer !== due; timer = due.wheelNext) {
      this.cancel(timer);
      try {
        this.#expire(timer);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #slotOf(tick: number): number {
    const differing = tick ^ this.#tick;
    const level = differing === 0 ? 0 : ((31 - Math.clz32(differing)) / BITS) | 0;
    return level * SLOTS + ((tick >>> (level * BITS)) & SLOT_MASK);
  }

  #file(timer: Timer): void {
    const index = this.#slotOf(timer.wheelTick);
    const head = this.#slots[index];
    const last = head.wheelPrevious as Timer;
    timer.wheelSlot = index;
    timer.wheelNext = head;
    timer.wheelPrevious = last;
    last.wheelNext = timer;
    head.wheelPrevious = timer;
    this.#occupied[(index / SLOTS) | 0] |= 1 << (index & SLOT_MASK);
  }

  #unlink(timer: Timer): void {
    const next = timer.wheelNext as Timer;
    const previous = timer.wheelPrevious as Timer;
    previous.wheelNext = next;
    next.wheelPrevious = previous;
    const index = timer.wheelSlot;
    // Both are the sentinel: the slot is empty now. That of a timer which is running is empty already, and nothing can
    // be filed there before the tick is over.
    if (next === previous) {
      this.#occupied[(index / SLOTS) | 0] &= ~(1 << (index & SLOT_MASK));
    }
  }
}

function callExpired(timer: Timer): void {
  timer.onExpired();
}

function sentinel(): Timer {
  const head = new Timer();
  head.wheelNext = head.wheelPrevious = head;
  return head;
}

/** Moves a whole list; `to` must be empty, `from` must not. */
function takeAll(from: Timer, to: Timer): void {
  const first = from.wheelNext as Timer;
  const last = from.wheelPrevious as Timer;
  to.wheelNext = first;
  to.wheelPrevious = last;
  first.wheelPrevious = to;
  last.wheelNext = to;
  from.wheelNext = from.wheelPrevious = from;
}

function tooManyTimers(maxTimers: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_TOO_MANY_TIMERS',
    `${maxTimers} timers are armed already. Cancel timers that are not needed, or raise \`maxTimers\`.`,
  );
}
