import { currentGroupId } from '../scheduling/current-group.js';
import { turnMs } from '../scheduling/preempt.js';
import { threadScheduler } from '../scheduling/thread-scheduler.js';
import { aborted, checkInteger, invariant, timedOut, tooManyWaiters } from './errors.js';
import { threadTimers } from './node-timers.js';
import { Timer, type Timers } from './timer.js';
import { type GroupWaits, type WaitEnd, type WaitStats, waitStatsOf } from './wait-stats.js';

/** How long a single wait may take. */
export interface WaitOptions {
  /** After this time the wait ends with `SUNSTAR_TIMEOUT`. @default no limit */
  readonly timeoutMs?: number;
  /** Ends the wait with `SUNSTAR_ABORTED`; also one that would have been over at once. */
  readonly signal?: AbortSignal;
}

/** Options of everything that can be waited for. */
export interface SyncOptions {
  /** What errors and metrics call it. */
  readonly name?: string;
  /** Waits at the same time; a further one ends with `SUNSTAR_TOO_MANY_WAITERS`. @default 65536 */
  readonly maxWaiters?: number;
  /** What times the waits. @default threadTimers */
  readonly timers?: Timers;
}

/** Waits at the same time, unless an option says otherwise. */
export const DEFAULT_MAX_WAITERS = 65_536;

/** Says that a waiter's turn is not that of its timer. */
const SETTLE = 1;

/**
 * One who waits: at once the link of the list, the timer of the timeout, the listener of the signal, and the task that
 * wakes it in its own scheduling group.
 */
export class Waiter<T, I> extends Timer {
  before: Waiter<T, I> | null = null;
  after: Waiter<T, I> | null = null;
  /** What the wait is for, such as a number of units. */
  readonly item: I;
  readonly promise: Promise<T>;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;
  #outcome: unknown;
  #hasFailed = false;
  readonly list: WaitList<T, I>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly stats: GroupWaits;
  readonly #beganMs: number = turnMs();

  constructor(list: WaitList<T, I>, item: I, options: WaitOptions | undefined, stats: GroupWaits) {
    super();
    this.stats = stats;
    this.list = list;
    this.item = item;
    this.timeoutMs = options?.timeoutMs ?? Number.POSITIVE_INFINITY;
    this.signal = options?.signal;
    this.ownerId = currentGroupId();
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** It left the list. */
  left(end: WaitEnd): void {
    this.stats.ended(turnMs() - this.#beganMs, end);
  }

  /** Ends the wait, in a turn of the group that waits. */
  resolve(value: T): void {
    if (this.ownerId === currentGroupId()) this.#resolve(value);
    else this.#settleLater(value, false);
  }

  reject(error: unknown): void {
    if (this.ownerId === currentGroupId()) this.#reject(error);
    else this.#settleLater(error, true);
  }

  /** @internal */
  override complete(result?: number): void {
    if (result !== SETTLE) super.complete();
    else if (this.#hasFailed) this.#reject(this.#outcome);
    else this.#resolve(this.#outcome as T);
  }

  override onExpired(): void {
    this.list.abandon(this, timedOut(this.list.what, this.timeoutMs), 'timeout');
  }

  /** The signal's event. */
  handleEvent(): void {
    this.list.abandon(this, aborted(this.list.what, this.signal?.reason), 'aborted');
  }

  #settleLater(outcome: unknown, hasFailed: boolean): void {
    this.#outcome = outcome;
    this.#hasFailed = hasFailed;
    threadScheduler.post(this.ownerId, this, SETTLE);
  }
}

/**
 * Those who wait for the same thing, first come first served. Whoever gives up leaves from the middle in constant time.
 */
export class WaitList<T = void, I = undefined> {
  readonly what: string;
  readonly maxWaiters: number;
  readonly #timers: Timers;
  readonly #onAbandoned: (() => void) | undefined;
  readonly #stats: WaitStats;
  #first: Waiter<T, I> | null = null;
  #last: Waiter<T, I> | null = null;
  #size = 0;

  /** @param onAbandoned - Called after a waiter gave up: those behind it may have their turn now. */
  constructor(kind: string, options: SyncOptions | undefined, onAbandoned?: () => void) {
    this.what = options?.name === undefined ? `A wait for a ${kind}` : `A wait for ${kind} "${options.name}"`;
    this.maxWaiters = checkInteger('maxWaiters', options?.maxWaiters ?? DEFAULT_MAX_WAITERS, 0, 2 ** 31 - 1);
    this.#timers = options?.timers ?? threadTimers;
    this.#onAbandoned = onAbandoned;
    this.#stats = waitStatsOf(kind, options?.name);
  }

  get size(): number {
    return this.#size;
  }

  get first(): Waiter<T, I> | null {
    return this.#first;
  }

  /** Joins the end. The promise is rejected at once when the list is full or the signal was aborted. */
  wait(item: I, options?: WaitOptions): Promise<T> {
    const signal = options?.signal;
    if (signal?.aborted === true) return Promise.reject(aborted(this.what, signal.reason));
    const stats = this.#stats.ofCurrentGroup;
    if (this.#size >= this.maxWaiters) {
      stats.refused++;
      return Promise.reject(tooManyWaiters(this.what, this.maxWaiters));
    }
    const waiter = new Waiter<T, I>(this, item, options, stats);
    if (waiter.timeoutMs !== Number.POSITIVE_INFINITY) {
      try {
        this.#timers.arm(waiter, waiter.timeoutMs);
      } catch (error) {
        waiter.reject(error);
        return waiter.promise;
      }
    }
    signal?.addEventListener('abort', waiter);
    waiter.before = this.#last;
    if (this.#last === null) this.#first = waiter;
    else this.#last.after = waiter;
    this.#last = waiter;
    this.#size++;
    stats.begun++;
    stats.waiting++;
    return waiter.promise;
  }

  /** Ends the first wait, and says what it was for. The list must not be empty. */
  resolveFirst(value: T): I {
    const waiter = this.#first as Waiter<T, I>;
    this.#remove(waiter, 'over');
    waiter.resolve(value);
    return waiter.item;
  }

  resolveAll(value: T): void {
    while (this.#first !== null) this.resolveFirst(value);
  }

  rejectAll(error: unknown): void {
    for (let waiter = this.#first; waiter !== null; waiter = this.#first) this.reject(waiter, error);
  }

  /** Ends one wait with an error, without telling the owner. */
  reject(waiter: Waiter<T, I>, error: unknown, end: WaitEnd = 'rejected'): void {
    this.#remove(waiter, end);
    waiter.reject(error);
  }

  /** The timer's and the signal's way to end a wait. */
  abandon(waiter: Waiter<T, I>, error: unknown, end: WaitEnd): void {
    this.reject(waiter, error, end);
    this.#onAbandoned?.();
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    let size = 0;
    let previous: Waiter<T, I> | null = null;
    for (let waiter = this.#first; waiter !== null; waiter = waiter.after) {
      invariant(waiter.before === previous, 'waiters are linked both ways');
      invariant(waiter.isArmed || waiter.timeoutMs === Number.POSITIVE_INFINITY, 'a timeout is armed');
      invariant(waiter.signal?.aborted !== true, 'no waiter was aborted');
      previous = waiter;
      size++;
    }
    invariant(previous === this.#last, 'the last waiter is the last');
    invariant(size === this.#size && size <= this.maxWaiters, `${this.#size} waiters counted, ${size} found`);
  }

  #remove(waiter: Waiter<T, I>, end: WaitEnd): void {
    const { before, after } = waiter;
    if (before === null) this.#first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    waiter.before = waiter.after = null;
    this.#size--;
    this.#timers.cancel(waiter);
    waiter.left(end);
    waiter.signal?.removeEventListener('abort', waiter);
  }
}

/** Whether a wait is over before it begins; even what is free must not be taken then. */
export function isAborted(options: WaitOptions | undefined): boolean {
  return options?.signal?.aborted === true;
}
