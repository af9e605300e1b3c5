/** Buckets for each doubling: a quantile is at most 1/8 too large. */
const PER_OCTAVE = 8;
/** From 1 µs to 2^25 µs, half a minute; what is longer counts as that. */
const OCTAVES = 25;
const BUCKETS = PER_OCTAVE * OCTAVES + 1;
const OCTAVE_BITS = 3;
const scratch = new Float64Array(1);
const scratchBits = new Int32Array(scratch.buffer);

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
    this.#counts[bucketOf(latencyMs * 1000)]++;
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
    if (this.#total === 0) return Number.NaN;
    let left = Math.max(1, Math.ceil(this.#total * quantile));
    let bucket = 0;
    for (; bucket < BUCKETS - 1; bucket++) {
      left -= this.#counts[bucket];
      if (left <= 0) break;
    }
    return upperBoundUs(bucket) / 1000;
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

/** Exponent and first bits of the mantissa, as they stand in the number. */
function bucketOf(latencyUs: number): number {
  if (!(latencyUs >= 1)) return 0;
  scratch[0] = latencyUs;
  const high = scratchBits[1];
  const octave = (high >>> 20) - 1023;
  if (octave >= OCTAVES) return BUCKETS - 1;
  return octave * PER_OCTAVE + ((high >>> (20 - OCTAVE_BITS)) & (PER_OCTAVE - 1));
}

function upperBoundUs(bucket: number): number {
  const octave = Math.floor(bucket / PER_OCTAVE);
  return 2 ** octave * (1 + ((bucket % PER_OCTAVE) + 1) / PER_OCTAVE);
}
