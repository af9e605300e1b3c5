/** Options of a {@link DepthController}. */
export interface DepthOptions {
  /** Latency of a request of {@link referenceCost} or less that is aimed at, in milliseconds. */
  readonly latencyGoalMs: number;
  /** A request that costs more may take longer in proportion. */
  readonly referenceCost: number;
  readonly minCost: number;
  readonly maxCost: number;
}

/** Latencies that one adjustment is made of. */
const WINDOW_SAMPLES = 16;
/** How much of an adjustment comes from the measurement; the rest is the present limit. */
const GAIN = 0.8;
const MAX_GROWTH = 1.5;
const MAX_CUT = 0.5;
/** A device that is slower than the goal when it has one request is aimed at so many times its own latency. */
const BASE_FACTOR = 2;
/** So many requests on the idle device say what that is. */
const MIN_BASE_SAMPLES = 8;
/** How long the shortest latency is remembered: one to two times this. */
const BASE_MS = 30_000;

/**
 * Learns how much a device may have in flight so that requests take as long as the goal says: deep enough to be
 * busy, not so deep that they queue inside of it, where no scheduler reaches them.
 *
 * By Little's law the latency of a busy device grows in proportion to what is in flight. So after each window the
 * limit is scaled by goal ÷ latency, damped; it grows only when it was what held requests back. Where the device
 * needs longer than the goal even for requests that it gets when it has next to nothing, less depth would not
 * help: the goal becomes twice what those need.
 */
export class DepthController {
  readonly #options: DepthOptions;
  #limit: number;
  #samples = 0;
  #sumRatio = 0;
  #wasLimited = false;
  /** Shortest latency on the idle device in this and the last period, in multiples of the goal. */
  #base = Number.POSITIVE_INFINITY;
  #lastBase = Number.POSITIVE_INFINITY;
  #baseSinceMs = Number.NEGATIVE_INFINITY;
  #baseSamples = 0;

  constructor(options: DepthOptions, initialCost: number) {
    this.#options = options;
    this.#limit = Math.min(Math.max(initialCost, options.minCost), options.maxCost);
  }

  /** The cost that may be in flight. */
  get limit(): number {
    return this.#limit;
  }

  /**
   * One finished request.
   *
   * @param isIdle - Whether the device had next to nothing else, from the start of the request to its end.
   * @param isLimited - Whether others were waiting for the limit.
   */
  sample(latencyMs: number, cost: number, isIdle: boolean, isLimited: boolean, nowMs: number): void {
    const { latencyGoalMs, referenceCost } = this.#options;
    const ratio = latencyMs / (latencyGoalMs * Math.max(1, cost / referenceCost));
    this.#sumRatio += ratio;
    if (isIdle) this.#learnBase(ratio, nowMs);
    if (isLimited) this.#wasLimited = true;
    if (++this.#samples >= WINDOW_SAMPLES) this.#adjust();
  }

  #adjust(): void {
    const { minCost, maxCost } = this.#options;
    const mean = Math.max(this.#sumRatio / this.#samples, 1e-6);
    const base = Math.min(this.#base, this.#lastBase);
    const goal = this.#baseSamples < MIN_BASE_SAMPLES ? 1 : Math.max(1, BASE_FACTOR * base);
    if (mean > goal || this.#wasLimited) {
      const factor = 1 - GAIN + GAIN * (goal / mean);
      const bounded = Math.min(Math.max(factor, MAX_CUT), MAX_GROWTH);
      this.#limit = Math.min(Math.max(this.#limit * bounded, minCost), maxCost);
    }
    this.#samples = 0;
    this.#sumRatio = 0;
    this.#wasLimited = false;
  }

  #learnBase(ratio: number, nowMs: number): void {
    this.#baseSamples++;
    if (nowMs - this.#baseSinceMs >= BASE_MS) {
      this.#lastBase = this.#base;
      this.#base = ratio;
      this.#baseSinceMs = nowMs;
    } else if (ratio < this.#base) this.#base = ratio;
  }
}
