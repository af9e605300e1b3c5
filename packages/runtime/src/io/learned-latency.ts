import { LatencyHistogram } from './latency-histogram.js';

/** Sizes up to which requests share a histogram; larger ones share the last. */
const SIZE_LIMITS: readonly number[] = [16_384, 131_072, Number.POSITIVE_INFINITY];
const CLASSES = SIZE_LIMITS.length;
/** Fewer latencies say nothing. */
const MIN_SAMPLES = 8;

/** Latencies of one kind of request on a device, as seen by one shard. */
export interface LatencyStats {
  readonly kind: 'read' | 'write';
  /** Requests of at most so many bytes; Infinity for the largest. */
  readonly upToBytes: number;
  /** How many are remembered; old ones count in part. */
  readonly count: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
}

/** What a shard has learned about the latencies of a device: by reads and writes, and by size. */
export class LearnedLatency {
  readonly #histograms: LatencyHistogram[] = [];

  constructor(halfLifeMs: number) {
    for (let i = 0; i < 2 * CLASSES; i++) this.#histograms.push(new LatencyHistogram(halfLifeMs));
  }

  record(isWrite: boolean, sizeBytes: number, latencyMs: number, nowMs: number): void {
    this.#histograms[indexOf(isWrite, sizeBytes)].record(latencyMs, nowMs);
  }

  /**
   * What a request will probably take once the device has it, by what is known of its size, or of the next smaller
   * one; 0 when too little is known.
   */
  expectMs(isWrite: boolean, sizeBytes: number, quantile: number, nowMs: number): number {
    const smallest = indexOf(isWrite, 0);
    for (let index = indexOf(isWrite, sizeBytes); index >= smallest; index--) {
      const histogram = this.#histograms[index];
      const latencyMs = histogram.quantileMs(quantile, nowMs);
      if (histogram.count >= MIN_SAMPLES) return latencyMs;
    }
    return 0;
  }

  stats(nowMs: number): LatencyStats[] {
    return this.#histograms.flatMap((histogram, index) => {
      const p50Ms = histogram.quantileMs(0.5, nowMs);
      if (Number.isNaN(p50Ms)) return [];
      return {
        kind: index < CLASSES ? ('read' as const) : ('write' as const),
        upToBytes: SIZE_LIMITS[index % CLASSES],
        count: histogram.count,
        p50Ms,
        p90Ms: histogram.quantileMs(0.9, nowMs),
        p99Ms: histogram.quantileMs(0.99, nowMs),
      };
    });
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(check: (holds: boolean, what: string) => void): void {
    for (const histogram of this.#histograms) histogram.invariants(check);
  }
}

function indexOf(isWrite: boolean, sizeBytes: number): number {
  let size = 0;
  while (sizeBytes > SIZE_LIMITS[size]) size++;
  return isWrite ? size + CLASSES : size;
}
