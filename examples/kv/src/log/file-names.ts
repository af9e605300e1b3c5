/**
 * The files of one shard's log. `base-N` holds the state that all of `log-1` … `log-(N−1)` lead to; the log goes on
 * in `log-N`, `log-(N+1)` … A file that is being prepared ends in `.tmp`.
 */
const NAME = /^(base|log)-([1-9]\d{0,14})$/;

export function baseName(number: number): string {
  return `base-${number}`;
}

export function segmentName(number: number): string {
  return `log-${number}`;
}

/** What has to be read, in which order, and what is left over from before. */
export interface FilePlan {
  /** Number of the base; 0 when there is none. */
  readonly base: number;
  /** Numbers of the segments to replay after it, ascending without a gap. */
  readonly segments: readonly number[];
  /** The segment that should be there and is not, while later ones are; 0 when none is missing. */
  readonly missing: number;
  /** Names of the segments behind the gap. */
  readonly unreachable: readonly string[];
  /** Names of files that a crash left behind: superseded ones, unfinished ones. */
  readonly stale: readonly string[];
}

/**
 * Decides what a directory listing means. Names that are not ours are ignored.
 *
 * The newest base counts: it is given its name only when it is complete and durable. Everything before it is stale.
 */
export function planFiles(names: readonly string[]): FilePlan {
  const bases: number[] = [];
  const segments: number[] = [];
  const stale: string[] = [];
  for (const name of names) {
    const match = NAME.exec(name);
    if (match !== null) (match[1] === 'base' ? bases : segments).push(Number(match[2]));
    else if (name.endsWith('.tmp') && NAME.test(name.slice(0, -4))) stale.push(name);
  }
  const base = Math.max(0, ...bases);
  stale.push(...bases.filter((number) => number !== base).map(baseName));
  stale.push(...segments.filter((number) => number < base).map(segmentName));
  const live = segments.filter((number) => number >= base).sort((a, b) => a - b);
  const first = Math.max(base, 1);
  const gap = live.findIndex((number, index) => number !== first + index);
  if (gap < 0) return { base, segments: live, missing: 0, unreachable: [], stale };
  const unreachable = live.slice(gap).map(segmentName);
  return { base, segments: live.slice(0, gap), missing: first + gap, unreachable, stale };
}
