import { SunstarError } from '../errors.js';
import { BUCKETS, bucketOf, OCTAVES, PER_OCTAVE, quantileMs } from './latency-buckets.js';

/** Before a 32-bit count can overflow. */
const FOLD_AFTER = 2 ** 31 - 1;

/** Latencies of one kind of operation. */
export interface LatencyOptions {
  /** What to do with a latency of `slowMs` or more. */
  readonly onSlow?: (latencyMs: number) => void;
  /** @default Infinity */
  readonly slowMs?: number;
}

/**
 * Latencies in logarithmic buckets, since the start. Recording one takes some nanoseconds and allocates nothing. The
 * buckets are those of an HDR histogram: eight for each doubling.
 */
export class LatencyRecorder {
  /** Since the last fold. */
  readonly #recent: Uint32Array = new Uint32Array(BUCKETS);
  readonly #totals: Float64Array = new Float64Array(BUCKETS);
  readonly #slowMs: number;
  readonly #onSlow: ((latencyMs: number) => void) | undefined;
  #recentCount = 0;
  #sumMs = 0;

  constructor(options: LatencyOptions = {}) {
    this.#slowMs = options.onSlow === undefined ? Number.POSITIVE_INFINITY : (options.slowMs ?? Infinity);
    this.#onSlow = options.onSlow;
  }

  /** Counts one operation. A latency below zero counts as zero. */
  record(latencyMs: number): void {
    this.#recent[bucketOf(latencyMs)]++;
    if (latencyMs > 0) this.#sumMs += latencyMs;
    if (++this.#recentCount === FOLD_AFTER) this.#fold();
    if (latencyMs >= this.#slowMs) this.#onSlow?.(latencyMs);
  }

  /** How many were recorded. */
  get count(): number {
    this.#fold();
    return this.#totals.reduce((sum, count) => sum + count, 0);
  }

  get sumMs(): number {
    return this.#sumMs;
  }

  /**
   * The latency that a part of the operations keeps to, rounded up by at most an eighth.
   *
   * @param quantile - Above 0, up to 1.
   * @returns Milliseconds; NaN when nothing was recorded.
   */
  quantileMs(quantile: number): number {
    const { count } = this;
    return quantileMs(this.#totals, count, quantile);
  }

  /**
   * For exporting: how many operations took at most 1 µs, 2 µs, 4 µs … 67 s; the last number is that of all.
   * The bounds in between are left out: a factor of two is what dashboards need, and an eighth of the series.
   */
  cumulative(): { readonly boundsMs: readonly number[]; readonly counts: readonly number[] } {
    this.#fold();
    const boundsMs: number[] = [];
    const counts: number[] = [];
    let sum = 0;
    for (let octave = 0; octave < OCTAVES; octave++) {
      for (let i = 0; i < PER_OCTAVE; i++) sum += this.#totals[octave * PER_OCTAVE + i];
      boundsMs.push(2 ** (octave + 1) / 1000);
      counts.push(sum);
    }
    counts.push(sum + this.#totals[BUCKETS - 1]);
    return { boundsMs, counts };
  }

  #fold(): void {
    if (this.#recentCount === 0) return;
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#totals[bucket] += this.#recent[bucket];
    this.#recent.fill(0);
    this.#recentCount = 0;
  }

  /** Throws when the counts contradict each other. For tests. */
  invariants(): void {
    const recent = this.#recent.reduce((sum, count) => sum + count, 0);
    if (recent === this.#recentCount && this.#sumMs >= 0) return;
    throw new SunstarError(
      'SUNSTAR_BROKEN_INVARIANT',
      `A latency recorder has ${recent} recent latencies, not ${this.#recentCount}, of ${this.#sumMs} ms in all.`,
    );
  }
}
