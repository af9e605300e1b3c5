const MIN_BYTES = 131_072;
const MAX_BYTES = 4_194_304;
const GROWTH = 1.5;
const AGAIN_MS = 3_000;

/**
 * How much to give back when memory is asked for: more than that, so that not every allocation asks; a little at
 * first, half as much again whenever it is asked for within three seconds. After Redpanda's batch cache.
 */
export class ReclaimSize {
  readonly #nowMs: () => number;
  #bytes = MIN_BYTES;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  next(needBytes: number): number {
    const nowMs = this.#nowMs();
    this.#bytes = nowMs - this.#lastMs < AGAIN_MS ? Math.min(this.#bytes * GROWTH, MAX_BYTES) : MIN_BYTES;
    this.#lastMs = nowMs;
    return Math.max(needBytes, this.#bytes);
  }
}
