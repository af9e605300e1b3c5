/** Options of a {@link DepthController}. */
export interface DepthOptions {
  /** What nearly all requests of {@link referenceCost} or less should keep to, in milliseconds. */
  readonly latencyGoalMs: number;
  /** A request that costs more may take longer in proportion. */
  readonly referenceCost: number;
  readonly minCost: number;
  readonly maxCost: number;
}

/** One in so many may miss the goal: the goal is that of the 99th percentile. */
const MAY_MISS = 0.01;
/** How much the limit falls when all requests of a round miss the goal. */
const GAIN = 0.1;
/** After so many times the rounds in which a miss was due, growth speeds up. */
const LONG_WITHOUT_MISS = 3;
/** A device that is slower than the goal when it has one request is aimed at so many times its own latency. */
const BASE_FACTOR = 2;
/** So many requests on the idle device say what that is. */
const MIN_BASE_SAMPLES = 8;
/** How long the shortest latency is remembered: one to two times this. */
const BASE_MS = 30_000;
/** One in so many of the requests on the idle device is what their part of misses follows at a time. */
const IDLE_MEMORY = 256;
/** Where the idle device itself misses the goal, so many times as many misses are allowed, but no more than half. */
const IDLE_FACTOR = 2;
const MOST_MISSES = 0.5;

/**
 * Learns how much a device may have in flight so that 99 of 100 requests keep to the goal: deep enough to be busy, not
 * so deep that requests queue inside of it, where no scheduler reaches them. The mean would not do: who waits for a
 * disk is ruined by the tail, which in a busy device is two to three times the mean.
 *
 * The quantile is found by stochastic approximation. Each request that misses the goal cuts the limit, each that keeps
 * to it raises the limit by a hundredth of that, so that it stands still where one in a hundred misses. A miss counts
 * the same however late it was: one hiccup of the machine does not empty the device. Steps are divided by the number of
 * requests that the group had in flight together, because these are late together; so a reader who waits for each of
 * its requests counts as much as a writer with a hundred. The limit grows only when it was what held requests back.
 *
 * Less depth does not help where the device misses the goal although it has next to nothing. What it needs then is
 * learned: the goal becomes twice the latency of the idle device, and the allowed misses twice its misses.
 */
export class DepthController {
  readonly #options: DepthOptions;
  #limit: number;
  /** Rounds of requests since the last miss. */
  #sinceMiss = 0;
  /** Shortest latency on the idle device in this and the last period, in multiples of the goal. */
  #base = Number.POSITIVE_INFINITY;
  #lastBase = Number.POSITIVE_INFINITY;
  #baseSinceMs = Number.NEGATIVE_INFINITY;
  #baseSamples = 0;
  /** The part of the requests on the idle device that missed. */
  #idleMisses = 0;

  constructor(options: DepthOptions, initialCost: number) {
    this.#options = options;
    this.#limit = Math.min(Math.max(initialCost, options.minCost), options.maxCost);
  }

  /** The cost that may be in flight. */
  get limit(): number {
    return this.#limit;
  }

  /** A finished request that had the device to itself: next to nothing else was in flight from its start to its end. */
  sampleIdle(latencyMs: number, cost: number, nowMs: number): void {
    const ratio = this.#ratio(latencyMs, cost);
    this.#baseSamples++;
    if (nowMs - this.#baseSinceMs >= BASE_MS) {
      this.#lastBase = this.#base;
      this.#base = ratio;
      this.#baseSinceMs = nowMs;
    } else if (ratio < this.#base) this.#base = ratio;
    const missed = ratio > this.#goal() ? 1 : 0;
    this.#idleMisses += (missed - this.#idleMisses) / IDLE_MEMORY;
  }

  /**
   * A finished request, by which the limit is judged.
   *
   * @param together - How many requests of its group were in flight together, itself included.
   * @param isLimited - Whether others were waiting for the limit.
   */
  sample(latencyMs: number, cost: number, together: number, isLimited: boolean): void {
    const mayMiss = Math.min(Math.max(MAY_MISS, IDLE_FACTOR * this.#idleMisses), MOST_MISSES);
    const step = GAIN / together;
    let factor = 1;
    if (this.#ratio(latencyMs, cost) > this.#goal()) {
      this.#sinceMiss = 0;
      factor = 1 - step * (1 - mayMiss);
    } else if (isLimited) {
      this.#sinceMiss += 1 / together;
      const overdue = (this.#sinceMiss * mayMiss) / LONG_WITHOUT_MISS;
      factor = 1 + step * Math.min(1, mayMiss * Math.max(1, overdue ** 3));
    }
    const { minCost, maxCost } = this.#options;
    this.#limit = Math.min(Math.max(this.#limit * factor, minCost), maxCost);
  }

  /** Latency in multiples of the goal. */
  #ratio(latencyMs: number, cost: number): number {
    const { latencyGoalMs, referenceCost } = this.#options;
    return latencyMs / (latencyGoalMs * Math.max(1, cost / referenceCost));
  }

  /** The goal in force, in multiples of the one that was asked for. */
  #goal(): number {
    if (this.#baseSamples < MIN_BASE_SAMPLES) return 1;
    return Math.max(1, BASE_FACTOR * Math.min(this.#base, this.#lastBase));
  }
}
