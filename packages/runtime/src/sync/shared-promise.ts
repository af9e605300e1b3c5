import { invariant, misuse } from './errors.js';
import { rejection } from './ready.js';
import { type SyncOptions, WaitList, type WaitOptions } from './wait-list.js';

/**
 * A result that many wait for, each with a timeout and a signal of its own: one who gives up does not disturb the
 * others. Settled from outside, once. A rejection that nobody waits for is kept, not reported as unhandled.
 */
export class SharedPromise<T> {
  readonly #waiters: WaitList<T>;
  #state: 'pending' | 'resolved' | 'rejected' = 'pending';
  #outcome: unknown;
  #settled: Promise<T> | undefined;

  constructor(options?: SyncOptions) {
    this.#waiters = new WaitList('result', options);
  }

  get isSettled(): boolean {
    return this.#state !== 'pending';
  }

  get waiters(): number {
    return this.#waiters.size;
  }

  /** @throws SunstarError `SUNSTAR_SYNC_MISUSE` when it was settled before. */
  resolve(value: T): void {
    this.#settle('resolved', value);
    this.#waiters.resolveAll(value);
  }

  /** @throws SunstarError `SUNSTAR_SYNC_MISUSE` when it was settled before. */
  reject(error: unknown): void {
    this.#settle('rejected', error);
    this.#waiters.rejectAll(error);
  }

  /**
   * The result that is there, without waiting and without a promise. Look at {@link isSettled} first.
   *
   * @throws Its error when it was rejected; SunstarError `SUNSTAR_SYNC_MISUSE` when it is not settled yet.
   */
  get(): T {
    if (this.#state === 'resolved') return this.#outcome as T;
    if (this.#state === 'rejected') throw this.#outcome;
    throw misuse(
      'get() of a shared promise that is not settled yet. Await wait(), or look at isSettled first.',
    );
  }

  /** @returns Rejects with its error, `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED` or `SUNSTAR_TOO_MANY_WAITERS`. */
  wait(options?: WaitOptions): Promise<T> {
    if (this.#state === 'pending' || options?.signal?.aborted === true) {
      return this.#waiters.wait(undefined, options);
    }
    if (this.#settled === undefined) {
      this.#settled =
        this.#state === 'resolved' ? Promise.resolve(this.#outcome as T) : rejection(this.#outcome);
    }
    return this.#settled;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#waiters.invariants();
    invariant(this.#state === 'pending' || this.#waiters.size === 0, 'nobody waits for what is settled');
  }

  #settle(state: 'resolved' | 'rejected', outcome: unknown): void {
    if (this.#state !== 'pending')
      throw misuse(`The shared promise was ${this.#state} before; settle it once.`);
    this.#state = state;
    this.#outcome = outcome;
  }
}
