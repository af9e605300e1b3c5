import { LatencyRecorder } from '../metrics/latency-recorder.js';

/** How an offloaded call ended, as its shard sees it. */
export type OffloadEnd = 'returned' | 'threw' | 'refused' | 'aborted' | 'timedOut' | 'failed';

/** The calls of one scheduling group for one limit; the counters only grow. */
export class OffloadStats {
  readonly group: string;
  readonly limit: string;
  /** Calls that have not ended. */
  outstanding = 0;
  readonly ended: Readonly<Record<OffloadEnd, number>>;
  /** From the call's arrival at the pool until a thread began it. */
  readonly wait: LatencyRecorder;
  /** From then to its end. */
  readonly run: LatencyRecorder;

  constructor(group: string, limit: string, makeRecorder: MakeRecorder) {
    this.group = group;
    this.limit = limit;
    this.ended = { returned: 0, threw: 0, refused: 0, aborted: 0, timedOut: 0, failed: 0 };
    this.wait = makeRecorder('wait', group, limit);
    this.run = makeRecorder('run', group, limit);
  }

  count(end: OffloadEnd): void {
    this.outstanding--;
    (this.ended as Record<OffloadEnd, number>)[end]++;
  }
}

/** Makes what records the waits or runs of a group and limit. */
export type MakeRecorder = (what: 'wait' | 'run', group: string, limit: string) => LatencyRecorder;

/** Those of a shard, by group and limit. */
export class OffloadStatsTable {
  readonly #byKey = new Map<string, OffloadStats>();
  readonly #makeRecorder: MakeRecorder;

  /** @param makeRecorder - @default one that nobody exports */
  constructor(makeRecorder: MakeRecorder = () => new LatencyRecorder()) {
    this.#makeRecorder = makeRecorder;
  }

  get all(): readonly OffloadStats[] {
    return [...this.#byKey.values()];
  }

  /** There are few groups, and few limits. */
  of(group: string, limit: string): OffloadStats {
    const key = `${group}\n${limit}`;
    let stats = this.#byKey.get(key);
    if (stats === undefined) {
      stats = new OffloadStats(group, limit, this.#makeRecorder);
      this.#byKey.set(key, stats);
    }
    return stats;
  }
}
