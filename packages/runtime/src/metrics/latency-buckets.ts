/** Buckets for each doubling: a quantile is at most an eighth too large. */
export const PER_OCTAVE = 8;
const OCTAVE_BITS = 3;
/** From 1 µs to 2^26 µs, 67 s; what is longer counts as that. */
export const OCTAVES = 26;
/** The buckets of a histogram of latencies: logarithmic, those of an HDR histogram. */
export const BUCKETS: number = PER_OCTAVE * OCTAVES + 1;

const scratch = new Float64Array(1);
const scratchHigh = new Int32Array(scratch.buffer);

/** The bucket of a latency: exponent and first bits of the mantissa, as they stand in the number. */
export function bucketOf(latencyMs: number): number {
  const latencyUs = latencyMs * 1000;
  if (!(latencyUs >= 1)) return 0;
  scratch[0] = latencyUs;
  const high = scratchHigh[1];
  const octave = (high >>> 20) - 1023;
  if (octave >= OCTAVES) return BUCKETS - 1;
  return octave * PER_OCTAVE + ((high >>> (20 - OCTAVE_BITS)) & (PER_OCTAVE - 1));
}

/**
 * The latency that a part of the operations keeps to, rounded up by at most an eighth.
 *
 * @param counts - By bucket.
 * @param total - Their sum.
 * @param quantile - Above 0, up to 1.
 * @returns Milliseconds; NaN when nothing was counted.
 */
export function quantileMs(counts: Uint32Array | Float64Array, total: number, quantile: number): number {
  if (total === 0) return Number.NaN;
  let left = Math.max(1, Math.ceil(total * quantile));
  let bucket = 0;
  for (; bucket < BUCKETS - 1; bucket++) {
    left -= counts[bucket];
    if (left <= 0) break;
  }
  const octave = Math.floor(bucket / PER_OCTAVE);
  return (2 ** octave * (1 + ((bucket % PER_OCTAVE) + 1) / PER_OCTAVE)) / 1000;
}
