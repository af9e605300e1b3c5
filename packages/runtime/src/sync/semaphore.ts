import { SunstarError } from '../errors.js';
import { broken, checkInteger, invariant, misuse } from './errors.js';
import { READY, rejection } from './ready.js';
import { isAborted, type SyncOptions, WaitList, type WaitOptions } from './wait-list.js';

/** Units of a {@link Semaphore} that are given back when this is disposed. */
export class Permit implements Disposable {
  readonly #semaphore: Semaphore;
  #units: number;

  /** @internal */
  constructor(semaphore: Semaphore, units: number) {
    this.#semaphore = semaphore;
    this.#units = units;
  }

  /** How many units it still holds. */
  get units(): number {
    return this.#units;
  }

  /**
   * Moves units into a permit of their own.
   *
   * @param units - 0 to `units`.
   */
  split(units: number): Permit {
    this.#units -= checkInteger('units', units, 0, this.#units);
    return new Permit(this.#semaphore, units);
  }

  /**
   * Gives units back early.
   *
   * @param units - 0 to `units`. @default all
   */
  release(units: number = this.#units): void {
    this.#units -= checkInteger('units', units, 0, this.#units);
    if (units > 0) this.#semaphore.release(units);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Units that are taken and given back, such as bytes of a budget or requests in flight. Waiters are served strictly
 * in order: a large request is not overtaken by small ones, and `tryAcquire` does not push in.
 */
export class Semaphore {
  readonly #waiters: WaitList<void, number>;
  #capacity: number;
  #available: number;
  #brokenBy: SunstarError | undefined;

  /** @param units - How many there are, 0 to 2^53 − 1. */
  constructor(units: number, options?: SyncOptions) {
    this.#capacity = this.#available = checkInteger('units', units, 0, Number.MAX_SAFE_INTEGER);
    this.#waiters = new WaitList('semaphore', options, () => this.#serve());
  }

  /** Units in all, held or not. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Units that nobody holds; negative after {@link resize} to fewer units than are held. */
  get available(): number {
    return this.#available;
  }

  get waiters(): number {
    return this.#waiters.size;
  }

  /** Takes units if that needs no waiting: they are there, and nobody waits. */
  tryAcquire(units = 1): boolean {
    this.#check(units);
    if (units > this.#available || this.#waiters.first !== null || this.#brokenBy !== undefined) return false;
    this.#available -= units;
    return true;
  }

  /**
   * Takes units, or waits for them. Give them back with {@link release}.
   *
   * @param units - From 0. Rejects with `SUNSTAR_NOT_ENOUGH_UNITS` when there are not that many in all.
   * @returns Rejects with `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED`, `SUNSTAR_TOO_MANY_WAITERS` or
   * `SUNSTAR_SEMAPHORE_BROKEN`; no units are taken then.
   */
  acquire(units = 1, options?: WaitOptions): Promise<void> {
    try {
      if (!isAborted(options) && this.tryAcquire(units)) return READY;
    } catch (error) {
      return rejection(error);
    }
    if (this.#brokenBy !== undefined) return Promise.reject(this.#brokenBy);
    if (units > this.#capacity) return Promise.reject(notEnoughUnits(units, this.#capacity));
    return this.#waiters.wait(units, options);
  }

  /**
   * Gives units back.
   *
   * @throws SunstarError `SUNSTAR_SYNC_MISUSE` when more is given back than was taken.
   */
  release(units = 1): void {
    this.#check(units);
    if (units > this.#capacity - this.#available) {
      throw misuse(
        `release(${units}), but only ${this.#capacity - this.#available} units are held. Use resize() to add units.`,
      );
    }
    this.#available += units;
    if (this.#waiters.first !== null) this.#serve();
  }

  /** {@link tryAcquire} for `using`. */
  tryPermit(units = 1): Permit | undefined {
    return this.tryAcquire(units) ? new Permit(this, units) : undefined;
  }

  /** {@link acquire} for `using`. */
  async permit(units = 1, options?: WaitOptions): Promise<Permit> {
    await this.acquire(units, options);
    return new Permit(this, units);
  }

  /** Runs a function while units are held. */
  async run<R>(work: () => R | PromiseLike<R>, units = 1, options?: WaitOptions): Promise<R> {
    await this.acquire(units, options);
    try {
      return await work();
    } finally {
      this.release(units);
    }
  }

  /**
   * Changes how many units there are. With fewer units than are held, nobody gets any until enough came back; those
   * who wait for more than there are now are rejected with `SUNSTAR_NOT_ENOUGH_UNITS`.
   */
  resize(units: number): void {
    checkInteger('units', units, 0, Number.MAX_SAFE_INTEGER);
    this.#available += units - this.#capacity;
    this.#capacity = units;
    for (let waiter = this.#waiters.first; waiter !== null; ) {
      const { after } = waiter;
      if (waiter.item > units) this.#waiters.reject(waiter, notEnoughUnits(waiter.item, units));
      waiter = after;
    }
    this.#serve();
  }

  /**
   * Ends all waits, now and later, with `SUNSTAR_SEMAPHORE_BROKEN`: what it guards is gone. Units can still be given
   * back.
   */
  break(cause?: unknown): void {
    this.#brokenBy ??= broken('SUNSTAR_SEMAPHORE_BROKEN', this.#waiters.what, cause);
    this.#waiters.rejectAll(this.#brokenBy);
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#waiters.invariants();
    const first = this.#waiters.first;
    invariant(this.#available <= this.#capacity, 'no more units are free than exist');
    invariant(first === null || first.item > this.#available, 'nobody waits for units that are free');
    invariant(first === null || this.#brokenBy === undefined, 'nobody waits for a broken semaphore');
  }

  #serve(): void {
    for (;;) {
      const first = this.#waiters.first;
      if (first === null || first.item > this.#available) return;
      this.#available -= first.item;
      this.#waiters.resolveFirst();
    }
  }

  #check(units: number): void {
    if (!Number.isSafeInteger(units) || units < 0) checkInteger('units', units, 0, Number.MAX_SAFE_INTEGER);
  }
}

function notEnoughUnits(units: number, capacity: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_NOT_ENOUGH_UNITS',
    `${units} units were asked for, and there are ${capacity} in all. Ask for less, or resize the semaphore.`,
  );
}
