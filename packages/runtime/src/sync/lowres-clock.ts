/** Milliseconds that only go forward; where they start from does not matter. */
export interface Clock {
  readonly nowMs: number;
}

/**
 * A clock that looks at the time once in each turn of the event loop, after Seastar's `lowres_clock`: reading it
 * costs about a nanosecond. It stands still while a turn runs, so a deadline computed from it is early by as long as
 * the turn has run already. Turns of a healthy shard take less than a millisecond.
 */
export class LowresClock implements Clock {
  #nowMs = 0;
  #isFresh = false;
  readonly #expire = (): void => {
    this.#isFresh = false;
  };

  /** `performance.now()` as of the first look in this turn. */
  get nowMs(): number {
    return this.#isFresh ? this.#nowMs : this.#look();
  }

  /** Looks at the time now, for this turn. */
  refresh(): number {
    this.#nowMs = performance.now();
    return this.#nowMs;
  }

  #look(): number {
    this.#isFresh = true;
    // Keeps the loop from sleeping before it has run: a turn that follows a sleep must look again.
    setImmediate(this.#expire);
    return this.refresh();
  }
}

/** The thread's coarse clock. */
export const lowresClock: LowresClock = new LowresClock();
