import { invariant, misuse } from './errors.js';
import { READY } from './ready.js';
import { isAborted, type SyncOptions, WaitList, type WaitOptions } from './wait-list.js';

/** A locked {@link Mutex}; unlocks once, when it is disposed. */
export class MutexLock implements Disposable {
  #mutex: Mutex | undefined;

  /** @internal */
  constructor(mutex: Mutex) {
    this.#mutex = mutex;
  }

  [Symbol.dispose](): void {
    const mutex = this.#mutex;
    this.#mutex = undefined;
    mutex?.unlock();
  }
}

/**
 * Lets one at a time through a section that awaits. Fair: unlocking hands the lock to the one who waits longest. Not
 * reentrant: who locks it twice waits for itself.
 */
export class Mutex {
  readonly #waiters: WaitList;
  #isLocked = false;

  constructor(options?: SyncOptions) {
    this.#waiters = new WaitList('mutex', options);
  }

  get isLocked(): boolean {
    return this.#isLocked;
  }

  get waiters(): number {
    return this.#waiters.size;
  }

  /** Locks if it is free. */
  tryLock(): boolean {
    if (this.#isLocked) return false;
    this.#isLocked = true;
    return true;
  }

  /**
   * Locks, or waits for it. Give it back with {@link unlock}.
   *
   * @returns Rejects with `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED` or `SUNSTAR_TOO_MANY_WAITERS`.
   */
  lock(options?: WaitOptions): Promise<void> {
    if (!isAborted(options) && this.tryLock()) return READY;
    return this.#waiters.wait(undefined, options);
  }

  /** @throws SunstarError `SUNSTAR_SYNC_MISUSE` when it is not locked. */
  unlock(): void {
    if (!this.#isLocked) throw misuse('unlock() of a mutex that is not locked.');
    if (this.#waiters.first === null) this.#isLocked = false;
    else this.#waiters.resolveFirst();
  }

  /** {@link tryLock} for `using`. */
  tryHold(): MutexLock | undefined {
    return this.tryLock() ? new MutexLock(this) : undefined;
  }

  /** {@link lock} for `using`. */
  async hold(options?: WaitOptions): Promise<MutexLock> {
    await this.lock(options);
    return new MutexLock(this);
  }

  /** Runs a function while it is locked. */
  async run<R>(work: () => R | PromiseLike<R>, options?: WaitOptions): Promise<R> {
    await this.lock(options);
    try {
      return await work();
    } finally {
      this.unlock();
    }
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#waiters.invariants();
    invariant(this.#isLocked || this.#waiters.size === 0, 'nobody waits for a free mutex');
  }
}
