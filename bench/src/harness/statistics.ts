/** The middle value, or the mean of the two middle values. Throws on an empty list. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('median of no values');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How many times better ours is: above 1 when ours is better, whichever direction is the better one. */
export function advantage(ours: number, theirs: number, higherIsBetter: boolean): number {
  return higherIsBetter ? ours / theirs : theirs / ours;
}

/** Ours and theirs over several rounds. */
export interface Comparison {
  /** Median over the rounds. */
  readonly ours: number;
  /** Median over the rounds. */
  readonly theirs: number;
  /**
   * Median of the rounds' own ratios, above 1 when ours is better. Each round compares two neighbours in time, so
   * that a machine that slows down during the run does not count for or against anyone.
   */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
  readonly rounds: number;
}

/** Compares measurements that were taken in turns: `ours[i]` and `theirs[i]` belong to one round. */
export function compare(
  ours: readonly number[],
  theirs: readonly number[],
  higherIsBetter: boolean,
): Comparison {
  if (ours.length !== theirs.length) {
    throw new RangeError(`rounds do not match: ${ours.length} of ours, ${theirs.length} of theirs`);
  }
  const ratios = ours.map((value, round) => advantage(value, theirs[round], higherIsBetter));
  return {
    ours: median(ours),
    theirs: median(theirs),
    ratio: median(ratios),
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
    rounds: ours.length,
  };
}
