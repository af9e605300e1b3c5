/** What a group has used, and how long it waited. Times count from when the second group was made. */
export interface GroupSnapshot {
  readonly id: number;
  readonly name: string;
  readonly shares: number;
  /** Time that its turns took; that of the default group includes Node's own callbacks. */
  readonly runMs: number;
  /** Turns that it had. */
  readonly turns: number;
  /** Completions and tasks that it was given. */
  readonly items: number;
  /** Completions and tasks that wait now. */
  readonly queueLength: number;
  /** Time in which it had work and another group ran. */
  readonly waitMs: number;
  /** The longest such wait since the last snapshot. */
  readonly longestWaitMs: number;
}

/** Counters of all groups, in columns. */
export class GroupStats {
  readonly runMs: Float64Array;
  readonly turns: Float64Array;
  readonly items: Float64Array;
  readonly waitMs: Float64Array;
  readonly longestWaitMs: Float64Array;
  readonly #readySinceMs: Float64Array;

  constructor(groups: number) {
    this.runMs = new Float64Array(groups);
    this.turns = new Float64Array(groups);
    this.items = new Float64Array(groups);
    this.waitMs = new Float64Array(groups);
    this.longestWaitMs = new Float64Array(groups);
    this.#readySinceMs = new Float64Array(groups);
  }

  /** The group has work, and waits from now on. */
  becameReady(groupId: number, nowMs: number): void {
    this.#readySinceMs[groupId] = nowMs;
  }

  /** The group's turn begins, and its wait is over. */
  begins(groupId: number, nowMs: number): void {
    const waitedMs = nowMs - this.#readySinceMs[groupId];
    this.turns[groupId]++;
    if (!(waitedMs > 0)) return;
    this.waitMs[groupId] += waitedMs;
    if (waitedMs > this.longestWaitMs[groupId]) this.longestWaitMs[groupId] = waitedMs;
  }

  /** The group has run. */
  ran(groupId: number, ranMs: number, items: number): void {
    this.runMs[groupId] += ranMs;
    this.items[groupId] += items;
  }
}
