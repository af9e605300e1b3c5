import { invariant, misuse } from './errors.js';
import { READY } from './ready.js';
import { isAborted, type SyncOptions, WaitList, type WaitOptions } from './wait-list.js';

type Mode = 'read' | 'write';

/** A locked {@link RwLock}; unlocks once, when it is disposed. */
export class RwLockHold implements Disposable {
  #lock: RwLock | undefined;
  #mode: Mode;

  /** @internal */
  constructor(lock: RwLock, mode: Mode) {
    this.#lock = lock;
    this.#mode = mode;
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** Goes on as a reader, see {@link RwLock.downgrade}. */
  downgrade(): void {
    if (this.#lock === undefined || this.#mode === 'read')
      throw misuse('downgrade() of a lock that is not for writing.');
    this.#lock.downgrade();
    this.#mode = 'read';
  }

  [Symbol.dispose](): void {
    const lock = this.#lock;
    this.#lock = undefined;
    if (this.#mode === 'read') lock?.unlockRead();
    else lock?.unlockWrite();
  }
}

/**
 * Many readers or one writer. Fair: served in order of arrival, neighbouring readers together; a reader that comes
 * after a waiting writer waits behind it, so that neither side starves.
 */
export class RwLock {
  readonly #waiters: WaitList<void, Mode>;
  /** −1 while there is a writer. */
  #readers = 0;

  constructor(options?: SyncOptions) {
    this.#waiters = new WaitList('read-write lock', options, () => this.#serve());
  }

  get readers(): number {
    return Math.max(this.#readers, 0);
  }

  get isWriteLocked(): boolean {
    return this.#readers < 0;
  }

  get waiters(): number {
    return this.#waiters.size;
  }

  /** Locks for reading if there is no writer, and none waits. */
  tryLockRead(): boolean {
    if (this.#readers < 0 || this.#waiters.first !== null) return false;
    this.#readers++;
    return true;
  }

  /** Locks for writing if it is free. */
  tryLockWrite(): boolean {
    if (this.#readers !== 0) return false;
    this.#readers = -1;
    return true;
  }

  /** @returns Rejects with `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED` or `SUNSTAR_TOO_MANY_WAITERS`. */
  lockRead(options?: WaitOptions): Promise<void> {
    if (!isAborted(options) && this.tryLockRead()) return READY;
    return this.#waiters.wait('read', options);
  }

  /** @returns Rejects with `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED` or `SUNSTAR_TOO_MANY_WAITERS`. */
  lockWrite(options?: WaitOptions): Promise<void> {
    if (!isAborted(options) && this.tryLockWrite()) return READY;
    return this.#waiters.wait('write', options);
  }

  /** @throws SunstarError `SUNSTAR_SYNC_MISUSE` when nobody reads. */
  unlockRead(): void {
    if (this.#readers <= 0) throw misuse('unlockRead() of a lock that nobody holds for reading.');
    this.#readers--;
    this.#serve();
  }

  /** @throws SunstarError `SUNSTAR_SYNC_MISUSE` when nobody writes. */
  unlockWrite(): void {
    if (this.#readers >= 0) throw misuse('unlockWrite() of a lock that nobody holds for writing.');
    this.#readers = 0;
    this.#serve();
  }

  /**
   * The writer becomes a reader, without a moment in between; readers that are next join it.
   *
   * @throws SunstarError `SUNSTAR_SYNC_MISUSE` when nobody writes.
   */
  downgrade(): void {
    if (this.#readers >= 0) throw misuse('downgrade() of a lock that nobody holds for writing.');
    this.#readers = 1;
    this.#serve();
  }

  /** {@link lockRead} for `using`. */
  async holdRead(options?: WaitOptions): Promise<RwLockHold> {
    await this.lockRead(options);
    return new RwLockHold(this, 'read');
  }

  /** {@link lockWrite} for `using`. */
  async holdWrite(options?: WaitOptions): Promise<RwLockHold> {
    await this.lockWrite(options);
    return new RwLockHold(this, 'write');
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#waiters.invariants();
    const first = this.#waiters.first;
    invariant(this.#readers >= -1, 'nobody unlocks twice');
    invariant(first === null || this.#readers !== 0, 'nobody waits for a free lock');
    invariant(first?.item !== 'read' || this.#readers < 0, 'no reader waits first unless there is a writer');
  }

  #serve(): void {
    for (let first = this.#waiters.first; first !== null; first = this.#waiters.first) {
      if (first.item === 'write') {
        if (this.#readers !== 0) return;
        this.#readers = -1;
      } else {
        if (this.#readers < 0) return;
        this.#readers++;
      }
      this.#waiters.resolveFirst();
    }
  }
}
