import type { SunstarError } from '../errors.js';
import { broken, checkInteger, invariant } from './errors.js';
import { READY } from './ready.js';
import { type SyncOptions, WaitList, type WaitOptions } from './wait-list.js';

/** Limit of {@link Barrier} parties. */
const MAX_PARTIES = 65_536;

/**
 * A point that a number of parties reach together, again and again. When one gives up, the others cannot be complete
 * any more: the barrier is broken for all until {@link reset}.
 */
export class Barrier {
  readonly parties: number;
  readonly #waiters: WaitList;
  #generation = 0;
  #brokenBy: SunstarError | undefined;

  /** @param parties - 1 to 65536. */
  constructor(parties: number, options?: Omit<SyncOptions, 'maxWaiters'>) {
    this.parties = checkInteger('parties', parties, 1, MAX_PARTIES);
    this.#waiters = new WaitList('barrier', { ...options, maxWaiters: parties }, () =>
      this.break('a party gave up'),
    );
  }

  /** How many have arrived and wait. */
  get waiters(): number {
    return this.#waiters.size;
  }

  /** How many times all parties have met. */
  get generation(): number {
    return this.#generation;
  }

  get isBroken(): boolean {
    return this.#brokenBy !== undefined;
  }

  /**
   * Arrives, and waits for the others.
   *
   * @returns Rejects with `SUNSTAR_TIMEOUT` or `SUNSTAR_ABORTED`, which breaks the barrier, or with
   * `SUNSTAR_BARRIER_BROKEN` when another party gave up.
   */
  arrive(options?: WaitOptions): Promise<void> {
    if (this.#brokenBy !== undefined) return Promise.reject(this.#brokenBy);
    if (options?.signal?.aborted === true) {
      const rejected = this.#waiters.wait(undefined, options);
      this.break('a party gave up');
      return rejected;
    }
    if (this.#waiters.size + 1 < this.parties) return this.#waiters.wait(undefined, options);
    this.#generation++;
    this.#waiters.resolveAll();
    return READY;
  }

  /** Ends all waits, and all that begin before {@link reset}, with `SUNSTAR_BARRIER_BROKEN`. */
  break(cause?: unknown): void {
    this.#brokenBy ??= broken('SUNSTAR_BARRIER_BROKEN', this.#waiters.what, cause);
    this.#waiters.rejectAll(this.#brokenBy);
  }

  /** Makes it as new; those who wait are rejected with `SUNSTAR_BARRIER_BROKEN`. */
  reset(): void {
    if (this.#waiters.size > 0) this.break('the barrier was reset');
    this.#brokenBy = undefined;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#waiters.invariants();
    invariant(this.#waiters.size < this.parties, 'not all parties wait');
    invariant(this.#brokenBy === undefined || this.#waiters.size === 0, 'nobody waits at a broken barrier');
  }
}
