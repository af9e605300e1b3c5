import { SunstarError } from '@sunstar/runtime';

/** How often the way that seems slower is tried again, in rounds. */
const TRY_EVERY = 64;
/** The first try comes early: the first syncs of a file say little. */
const TRY_FIRST = 8;
/** Weight of the newest round in the averages. */
const WEIGHT = 0.2;
/** A round that took longer than this many averages counts as that: some wait for the device's own housekeeping. */
const OUTLIER = 4;
/** The way that needs more CPU time must be faster by this factor. */
const ADVANTAGE = 0.9;

/**
 * Which of two ways a flush takes that is a single write: a write with RWF_DSYNC, or a write and an fdatasync when it
 * is done. The first needs less CPU time. But where the device has no FUA the kernel finishes it in a work queue that
 * is bound to one CPU, and when other programs keep that busy it can take ten times as long as the second. So both
 * are measured, and the faster one is used.
 */
export class SyncChoice {
  readonly #averageMs: [durable: number, sync: number] = [0, 0];
  #untilTry = TRY_FIRST;

  /** Whether the next such flush is a durable write. */
  chooseDurable(): boolean {
    const prefersDurable = this.prefersDurable;
    if (--this.#untilTry > 0) return prefersDurable;
    this.#untilTry = TRY_EVERY;
    return !prefersDurable;
  }

  /** One has ended after so many milliseconds. */
  ended(isDurable: boolean, tookMs: number): void {
    const way = isDurable ? 0 : 1;
    const average = this.#averageMs[way];
    if (average === 0) this.#averageMs[way] = tookMs;
    else this.#averageMs[way] += (Math.min(tookMs, average * OUTLIER) - average) * WEIGHT;
  }

  /** What the measurements so far speak for. */
  get prefersDurable(): boolean {
    const [durableMs, syncMs] = this.#averageMs;
    return syncMs === 0 || syncMs >= durableMs * ADVANTAGE;
  }

  invariants(): void {
    if (this.#untilTry >= 1 && this.#untilTry <= TRY_EVERY && this.#averageMs.every((ms) => ms >= 0)) return;
    throw new SunstarError('SUNSTAR_INVARIANT', 'SyncChoice: an average is negative.');
  }
}
