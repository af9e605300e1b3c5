import { SunstarError } from '../errors.js';
import type { Account } from './account.js';

/**
 * Frees memory that can be done without, and returns how many bytes that was. It runs inside the allocation
 * that found no memory, or in the background: it may free and allocate, and must not wait.
 */
export type Reclaimer = (needBytes: number) => number;

/** As {@link Reclaimer}, but may wait, for example until dirty data is written. It runs in the background only. */
export type AsyncReclaimer = (needBytes: number) => Promise<number>;

/** Options of a reclaimer. */
export interface ReclaimerOptions {
  /** For reports. @default 'reclaimer N' */
  readonly name?: string;
  /** Higher ones are asked first, equal ones in the order in which they were added. @default 0 */
  readonly priority?: number;
}

/** A reclaimer and what it has done. */
export interface ReclaimerStats {
  readonly name: string;
  readonly priority: number;
  readonly asynchronous: boolean;
  readonly calls: number;
  /** What became free while it ran, not what it said. */
  readonly reclaimedBytes: number;
  /** Calls that threw. */
  readonly failures: number;
}

/** The largest number of reclaimers of one shard. */
const MAX_RECLAIMERS = 1000;

/** A registered reclaimer. */
export interface Entry {
  readonly name: string;
  readonly priority: number;
  /** The group that it frees memory of; null when it serves the shard. */
  readonly account: Account | null;
  readonly reclaim: Reclaimer | null;
  readonly reclaimLater: AsyncReclaimer | null;
  calls: number;
  reclaimedBytes: number;
  failures: number;
}

/** The reclaimers of a shard, and the loop that asks them. */
export class Reclaimers {
  #entries: readonly Entry[] = [];
  #added = 0;
  #running = false;
  /** How often an allocation asked. */
  runs = 0;

  /** All of them, in the order in which they are asked. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** Whether a synchronous reclaimer is running: what it allocates does not reclaim. */
  get running(): boolean {
    return this.#running;
  }

  /** Adds one. @returns Removes it; calling that twice does no harm. */
  add(
    reclaim: Reclaimer | null,
    reclaimLater: AsyncReclaimer | null,
    options: ReclaimerOptions,
    account: Account | null,
  ): () => void {
    const { priority = 0, name = `reclaimer ${++this.#added}` } = options;
    if (!Number.isFinite(priority)) {
      throw new SunstarError(
        'SUNSTAR_INVALID_OPTION',
        `The priority of a reclaimer is a number, not ${priority}.`,
      );
    }
    if (typeof (reclaim ?? reclaimLater) !== 'function') {
      throw new SunstarError('SUNSTAR_INVALID_ARGUMENT', 'A reclaimer is a function that frees memory.');
    }
    if (this.#entries.length >= MAX_RECLAIMERS) {
      throw new SunstarError(
        'SUNSTAR_TOO_MANY_RECLAIMERS',
        `A shard has at most ${MAX_RECLAIMERS} reclaimers. Register one for a whole cache, and remove it with the cache.`,
      );
    }
    const entry = {
      name,
      priority,
      account,
      reclaim,
      reclaimLater,
      calls: 0,
      reclaimedBytes: 0,
      failures: 0,
    };
    const behind = this.#entries.findIndex((other) => other.priority < priority);
    const at = behind < 0 ? this.#entries.length : behind;
    this.#entries = this.#entries.toSpliced(at, 0, entry);
    return () => {
      this.#entries = this.#entries.filter((other) => other !== entry);
    };
  }

  /** Forgets the reclaimers of a group that is closed. */
  removeAllOf(account: Account): void {
    this.#entries = this.#entries.filter((entry) => entry.account !== account);
  }

  /**
   * Asks the synchronous reclaimers of an account (null: all), one after the other, until `done` or until a
   * round over all of them has not raised `level`. What one throws ends it and is thrown.
   */
  run(account: Account | null, needBytes: number, done: () => boolean, level: () => number): boolean {
    const mine = (entry: Entry): boolean => account === null || entry.account === account;
    if (this.#running || !this.#entries.some((entry) => entry.reclaim !== null && mine(entry))) return false;
    this.runs++;
    for (;;) {
      // Not the reclaimers' word, but what became free counts: else a wrong answer would loop forever.
      const before = level();
      for (const entry of this.#entries) {
        if (entry.reclaim === null || !mine(entry)) continue;
        this.call(entry, needBytes, level);
        if (done()) return true;
      }
      if (level() <= before) return false;
    }
  }

  /** Asks one synchronous reclaimer. */
  call(entry: Entry, needBytes: number, level: () => number): void {
    const before = level();
    entry.calls++;
    this.#running = true;
    try {
      entry.reclaim?.(needBytes);
    } catch (error) {
      entry.failures++;
      throw error;
    } finally {
      this.#running = false;
    }
    entry.reclaimedBytes += Math.max(0, level() - before);
  }

  stats(): ReclaimerStats[] {
    return this.#entries.map(({ name, priority, reclaimLater, calls, reclaimedBytes, failures }) => ({
      name,
      priority,
      asynchronous: reclaimLater !== null,
      calls,
      reclaimedBytes,
      failures,
    }));
  }
}
