/** The largest fragment that an IOBuf allocates; only memory linked from outside may be larger. */
export const FRAGMENT_SIZE_BYTES_MAX = 131072;

/** Up to this size an IOBuf without fragments copies what `appendIOBuf` gives it, instead of linking it. */
export const FIRST_COPY_BYTES_MAX = 512;

/** Up to this size `copy()` makes one fragment of exactly the size of the content. */
export const EXACT_COPY_BYTES_MAX = 16384;

/**
 * Capacities of the fragments that a growing buffer allocates. Small replies stay small, and a buffer
 * that keeps growing reaches the largest fragment in a dozen steps. All are size classes of the
 * allocator, so nothing is lost to rounding.
 */
export const GROWTH_TABLE: readonly number[] = [
  512,
  768,
  1280,
  1792,
  2560,
  3584,
  6144,
  8192,
  12288,
  16384,
  32768,
  65536,
  FRAGMENT_SIZE_BYTES_MAX,
];

/**
 * The capacity of the next fragment: the first entry of the growth table that is strictly greater than
 * `aboveBytes`, which is the larger of what is needed and of the last fragment's capacity.
 */
export function nextCapacity(aboveBytes: number): number {
  for (let i = 0; i < GROWTH_TABLE.length; i++) {
    const entry = GROWTH_TABLE[i];
    if (entry > aboveBytes) return entry;
  }
  return FRAGMENT_SIZE_BYTES_MAX;
}
