import type { SunstarError } from '../errors.js';
import { broken, timedOut } from './errors.js';
import { threadTimers } from './node-timers.js';
import { READY, rejection } from './ready.js';
import type { Timers } from './timer.js';
import { isAborted, type SyncOptions, WaitList, type WaitOptions } from './wait-list.js';

/**
 * Waiting until something has changed. A shard runs one thing at a time, so unlike that of threads it needs no mutex.
 */
export class ConditionVariable {
  readonly #waiters: WaitList;
  readonly #timers: Timers;
  #brokenBy: SunstarError | undefined;

  constructor(options?: SyncOptions) {
    this.#waiters = new WaitList('condition', options);
    this.#timers = options?.timers ?? threadTimers;
  }

  get waiters(): number {
    return this.#waiters.size;
  }

  /**
   * Waits for the next {@link signal} or {@link broadcast}; an earlier one does not count.
   *
   * @returns Rejects with `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED`, `SUNSTAR_TOO_MANY_WAITERS` or
   * `SUNSTAR_CONDITION_BROKEN`.
   */
  wait(options?: WaitOptions): Promise<void> {
    if (this.#brokenBy !== undefined) return Promise.reject(this.#brokenBy);
    return this.#waiters.wait(undefined, options);
  }

  /**
   * Waits until `isTrue()`: it is asked at once, and again after each wake-up. The timeout is for all of it.
   *
   * @returns Rejects as {@link wait} does, or with what `isTrue` throws.
   */
  waitUntil(isTrue: () => boolean, options?: WaitOptions): Promise<void> {
    try {
      if (!isAborted(options) && isTrue()) return READY;
    } catch (error) {
      return rejection(error);
    }
    return this.#waitUntil(isTrue, options);
  }

  /** Wakes the one who waits longest, if anybody does. */
  signal(): void {
    if (this.#waiters.first !== null) this.#waiters.resolveFirst();
  }

  /** Wakes everybody who waits. */
  broadcast(): void {
    this.#waiters.resolveAll();
  }

  /** Ends all waits, now and later, with `SUNSTAR_CONDITION_BROKEN`. */
  break(cause?: unknown): void {
    this.#brokenBy ??= broken('SUNSTAR_CONDITION_BROKEN', this.#waiters.what, cause);
    this.#waiters.rejectAll(this.#brokenBy);
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#waiters.invariants();
  }

  async #waitUntil(isTrue: () => boolean, options: WaitOptions | undefined): Promise<void> {
    const timeoutMs = options?.timeoutMs;
    if (timeoutMs === undefined || timeoutMs === Number.POSITIVE_INFINITY) {
      do await this.wait(options);
      while (!isTrue());
      return;
    }
    const deadlineMs = this.#timers.nowMs + timeoutMs;
    let leftMs = timeoutMs;
    do {
      await this.wait({ ...options, timeoutMs: leftMs });
      if (isTrue()) return;
      leftMs = deadlineMs - this.#timers.nowMs;
    } while (leftMs > 0);
    throw timedOut(this.#waiters.what, timeoutMs);
  }
}
