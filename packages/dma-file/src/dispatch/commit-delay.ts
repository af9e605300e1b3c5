import { SunstarError } from '@sunstar/runtime';

/** On a device that syncs faster than this, waiting costs more than it saves. */
const LATENCY_MIN_MS = 0.2;
/** The part of a sync's usual time that a wait may take. */
const WAIT_SHARE = 0.5;
/** A sync begins at once when this part of the usual waiters is there. */
const QUORUM = 0.75;
/** Weight of the newest sync in the average. */
const WEIGHT = 0.2;
/** How fast a number of waiters is forgotten, for each sync. */
const DECAY = 0.95;

/**
 * Decides when a group commit begins.
 *
 * Writers come back with their next write soon after a sync has answered them. A sync that begins with the first one
 * leaves the others to the next sync: then there are two groups that take turns, and every writer waits for two
 * syncs. On a slow device it is better to wait a little until most of them are there. The wait is bounded by
 * `maxDelayMs` and by half of what a sync usually takes, counted from the end of the last one, and there is none for
 * a single writer or on a fast device. (PostgreSQL's commit_delay and commit_siblings, which set themselves.)
 */
export class CommitDelay {
  readonly #maxDelayMs: number;
  #latencyMs = 0;
  /** How many waiters there lately were at the same time. */
  #waiters = 0;
  #startedMs = 0;
  #endedMs = 0;
  #inFlight = 0;

  /** @param maxDelayMs - The longest wait; 0 never waits. */
  constructor(maxDelayMs: number) {
    this.#maxDelayMs = maxDelayMs;
  }

  /** Whether it can ever wait: otherwise nobody has to tell it anything. */
  get isEnabled(): boolean {
    return this.#maxDelayMs > 0;
  }

  /** What a sync takes, moving average; 0 before the first. */
  get latencyMs(): number {
    return this.#latencyMs;
  }

  /** A sync for so many waiters begins. */
  started(nowMs: number, waiters: number): void {
    this.#startedMs = nowMs;
    this.#inFlight = waiters;
  }

  /** It has ended, and so many waiters have come meanwhile. */
  ended(nowMs: number, waiting: number): void {
    const tookMs = Math.max(0, nowMs - this.#startedMs);
    this.#latencyMs = this.#latencyMs === 0 ? tookMs : this.#latencyMs + (tookMs - this.#latencyMs) * WEIGHT;
    this.#endedMs = nowMs;
    this.#waiters = Math.max(this.#inFlight + waiting, this.#waiters * DECAY);
  }

  /** Whether most of those who usually wait at the same time are there. */
  hasQuorum(waiting: number): boolean {
    return waiting >= this.#waiters * QUORUM;
  }

  /** How long a sync should wait that could begin now for so many; 0 for not at all. */
  waitMs(nowMs: number, waiting: number): number {
    if (this.#latencyMs < LATENCY_MIN_MS || this.hasQuorum(waiting)) return 0;
    const deadlineMs = this.#endedMs + Math.min(this.#maxDelayMs, this.#latencyMs * WAIT_SHARE);
    return Math.min(this.#maxDelayMs, Math.max(0, deadlineMs - nowMs));
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    if (this.#latencyMs >= 0 && this.#waiters >= 0 && this.#inFlight >= 0) return;
    throw new SunstarError('SUNSTAR_INVARIANT', 'CommitDelay: an average is negative.');
  }
}
