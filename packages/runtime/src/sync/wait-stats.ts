import { currentGroupId } from '../scheduling/current-group.js';

/** Names that are told apart; the waits of further ones count as unnamed. */
const MAX_NAMES = 1024;

/** How a wait ended. */
export type WaitEnd = 'over' | 'timeout' | 'aborted' | 'rejected';

/** What one scheduling group waited for, with one kind and name; the counters only grow. */
export class GroupWaits {
  readonly groupId: number;
  /** Waits that go on. */
  waiting = 0;
  /** Waits that have begun. What is free at once is no wait. */
  begun = 0;
  /** Time of the waits that have ended. */
  waitedMs = 0;
  timedOut = 0;
  aborted = 0;
  /** Ended by an error of what was waited for: broken, closed. */
  rejected = 0;
  /** Refused because too many waited. */
  refused = 0;

  constructor(groupId: number) {
    this.groupId = groupId;
  }

  ended(waitedMs: number, end: WaitEnd): void {
    this.waiting--;
    if (waitedMs > 0) this.waitedMs += waitedMs;
    if (end === 'timeout') this.timedOut++;
    else if (end === 'aborted') this.aborted++;
    else if (end === 'rejected') this.rejected++;
  }
}

/** The waits for all locks, queues and so on of this thread that share a kind and a name. */
export class WaitStats {
  /** Such as `semaphore`. */
  readonly kind: string;
  /** The option `name`; empty without. */
  readonly name: string;
  readonly #byGroup: (GroupWaits | undefined)[] = [];

  constructor(kind: string, name: string) {
    this.kind = kind;
    this.name = name;
  }

  /** Those of the current scheduling group. */
  get ofCurrentGroup(): GroupWaits {
    const groupId = currentGroupId();
    let waits = this.#byGroup[groupId];
    if (waits === undefined) {
      waits = new GroupWaits(groupId);
      this.#byGroup[groupId] = waits;
    }
    return waits;
  }

  get groups(): readonly GroupWaits[] {
    return this.#byGroup.filter((waits) => waits !== undefined);
  }
}

const all = new Map<string, WaitStats>();

/** The counters of a kind and name, which all that have both share. */
export function waitStatsOf(kind: string, name = ''): WaitStats {
  const key = name === '' ? kind : `${kind}\n${name}`;
  let stats = all.get(key);
  if (stats === undefined) {
    if (name !== '' && all.size >= MAX_NAMES) return waitStatsOf(kind);
    stats = new WaitStats(kind, name);
    all.set(key, stats);
  }
  return stats;
}

/** What this thread has waited for. */
export function threadWaits(): readonly WaitStats[] {
  return [...all.values()];
}
