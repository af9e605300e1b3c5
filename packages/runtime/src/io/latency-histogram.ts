import { BUCKETS, bucketOf, quantileMs } from '../metrics/latency-buckets.js';

/**
 * Latencies in logarithmic buckets whose counts halve with time, so that the quantiles are those of the recent
 * past. Recording costs a few nanoseconds and allocates nothing.
 */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKETS);
  readonly #halfLifeMs: number;
  #total = 0;
  #halvedMs = 0;

  /** @param halfLifeMs - After this time a latency counts half. */
  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs;
  }

  /** How many latencies are remembered, the older ones in part. */
  get count(): number {
    return this.#total;
  }

  record(latencyMs: number, nowMs: number): void {
    this.#decay(nowMs);
    this.#counts[bucketOf(latencyMs)]++;
    this.#total++;
  }

  /**
   * The latency that a part of the operations keeps to, rounded up by at most an eighth.
   *
   * @param quantile - Above 0, up to 1.
   * @returns Milliseconds; NaN when nothing is known.
   */
  quantileMs(quantile: number, nowMs: number): number {
    this.#decay(nowMs);
    return quantileMs(this.#counts, this.#total, quantile);
  }

  #decay(nowMs: number): void {
    const halvings = Math.floor((nowMs - this.#halvedMs) / this.#halfLifeMs);
    if (halvings <= 0) return;
    this.#halvedMs += halvings * this.#halfLifeMs;
    if (this.#total === 0) return;
    let total = 0;
    const shift = Math.min(halvings, 31);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = this.#counts[bucket] >>> shift;
      this.#counts[bucket] = count;
      total += count;
    }
    this.#total = total;
  }

  /** Throws when the counts contradict each other. For tests. */
  invariants(check: (holds: boolean, what: string) => void): void {
    let total = 0;
    for (const count of this.#counts) total += count;
    check(total === this.#total, 'a histogram has as many latencies as it says');
  }
}
