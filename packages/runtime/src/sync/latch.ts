import { checkInteger, invariant, misuse } from './errors.js';
import { READY } from './ready.js';
import { isAborted, type SyncOptions, WaitList, type WaitOptions } from './wait-list.js';

/** Opens once, when it has been counted down to 0, for everybody who waits and whoever comes later. */
export class Latch {
  readonly #waiters: WaitList;
  #count: number;

  /** @param count - 0 (open from the start) to 2^53 − 1. */
  constructor(count: number, options?: SyncOptions) {
    this.#count = checkInteger('count', count, 0, Number.MAX_SAFE_INTEGER);
    this.#waiters = new WaitList('latch', options);
  }

  /** What is left to count down. */
  get count(): number {
    return this.#count;
  }

  get isOpen(): boolean {
    return this.#count === 0;
  }

  get waiters(): number {
    return this.#waiters.size;
  }

  /** @throws SunstarError `SUNSTAR_SYNC_MISUSE` when `by` is more than what is left. */
  countDown(by = 1): void {
    checkInteger('by', by, 1, Number.MAX_SAFE_INTEGER);
    if (by > this.#count) throw misuse(`countDown(${by}) of a latch with ${this.#count} left.`);
    this.#count -= by;
    if (this.#count === 0) this.#waiters.resolveAll();
  }

  /** @returns Rejects with `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED` or `SUNSTAR_TOO_MANY_WAITERS`. */
  wait(options?: WaitOptions): Promise<void> {
    if (this.#count === 0 && !isAborted(options)) return READY;
    return this.#waiters.wait(undefined, options);
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#waiters.invariants();
    invariant(this.#count > 0 || this.#waiters.size === 0, 'nobody waits at an open latch');
  }
}
