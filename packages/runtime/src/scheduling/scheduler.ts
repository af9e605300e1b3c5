import { SunstarError } from '../errors.js';
import { currentGroupId, DEFAULT_GROUP_ID, swapGroup } from './current-group.js';
import { FairTree } from './fair-tree.js';
import { type GroupSnapshot, GroupStats } from './group-stats.js';
import { type GroupRegistry, MAX_GROUPS, type SchedulingGroup } from './groups.js';
import { DEFAULT_TASK_QUOTA_US } from './preempt.js';
import { ReadyQueue } from './ready-queue.js';
import type { Task } from './task.js';

/** The event loop that gives the scheduler its turns. */
export interface SchedulerHost {
  /** Milliseconds of a monotonic clock. */
  nowMs(): number;
  /** Has a turn run before the thread sleeps. */
  requestTurn(): void;
  /** Hands an operation's result to whoever waits for it. */
  deliver(operationId: number, result: number, flags: number): void;
  /** Keeps the event loop alive until {@link unref}: a task waits. */
  ref(): void;
  unref(): void;
}

/** Completions that are handed out without a look at the clock, at most. */
const MAX_CHUNK = 16;
/** Time that completions handed out together should take. */
const CHUNK_MS = 0.05;
/** Items of one turn, at most. */
const MAX_ITEMS = 1024;
/** How fast the estimate of an item's time follows. */
const SMOOTHING = 0.25;
/** What an item of a new group is thought to take. */
const FIRST_ESTIMATE_MS = 0.03;
/** How far a latency-sensitive group may be ahead of its part, in task quotas. */
const BURST_QUOTAS = 4;

const RESOLVED = Promise.resolve();

/** What one group has to do. */
class Lane {
  readonly ready = new ReadyQueue();
  /** Run at the end of a turn. */
  deferred: Task[] = [];
  /** How long an item takes, its continuations included. */
  perItemMs = FIRST_ESTIMATE_MS;

  get hasWork(): boolean {
    return this.ready.size > 0 || this.deferred.length > 0;
  }
}

/**
 * Divides a thread's time among its scheduling groups, in turns of about a task quota at most. Each turn is one call
 * from native code, so that the continuations of what it settled run before the next turn begins: they run in the
 * group that was waiting, at any depth of promises.
 *
 * After Seastar's task queues. What is different: here most of the work is done in microtasks, after the call has
 * returned. So a turn hands out few items at a time, and goes on from a microtask that queues behind their
 * continuations; it ends when the quota is used up.
 */
export class Scheduler {
  readonly groups: GroupRegistry;
  readonly stats: GroupStats = new GroupStats(MAX_GROUPS);
  readonly #lanes: Lane[] = [];
  readonly #tree: FairTree;
  #quotaMs: number;
  #host: SchedulerHost;
  #grouped = false;
  /** Items and deferred tasks that wait in all groups. */
  #waiting = 0;
  /** The group whose turn has not been accounted for; −1 when there is none. */
  #running = -1;
  /** The group of the last turn. */
  #last = -1;
  #lastFinished = false;
  #lane: Lane;
  #turn = 0;
  #continuesTurn = 0;
  #deadlineMs = 0;
  #chunk = 1;
  #itemsLeft = 0;
  #items = 0;
  readonly #continue = (): void => {
    if (this.#continuesTurn === this.#turn && this.#host.nowMs() < this.#deadlineMs) this.#deliver();
  };

  constructor(groups: GroupRegistry, host: SchedulerHost, taskQuotaUs: number = DEFAULT_TASK_QUOTA_US) {
    this.groups = groups;
    this.#host = host;
    this.#quotaMs = taskQuotaUs / 1000;
    this.#tree = new FairTree(BURST_QUOTAS * this.#quotaMs);
    this.#lane = this.#add(groups.default);
  }

  /** Whether there are groups beside the default one. */
  get grouped(): boolean {
    return this.#grouped;
  }

  /** Whether anything waits for a turn. */
  get hasWork(): boolean {
    return this.#waiting > 0;
  }

  /** How much waits for a turn, in all groups. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Moves to another event loop; `taskQuotaUs` is how long a turn should last at most. */
  moveTo(host: SchedulerHost, taskQuotaUs: number): void {
    this.#quotaMs = taskQuotaUs / 1000;
    this.#tree.burstMs = BURST_QUOTAS * this.#quotaMs;
    for (let i = 0; i < this.#waiting; i++) host.ref();
    this.#host = host;
    if (this.#waiting > 0) host.requestTurn();
  }

  /** Starts to schedule a group of the registry. */
  open(group: SchedulingGroup): void {
    this.#add(group);
    if (this.#grouped) return;
    this.#grouped = true;
    if (this.#lanes[DEFAULT_GROUP_ID].hasWork) this.#activate(DEFAULT_GROUP_ID);
  }

  /** A group's id on this shard: the default one's when the shard has not made that group. */
  idHere(groupId: number): number {
    return this.#lanes[groupId] === undefined ? DEFAULT_GROUP_ID : groupId;
  }

  /** Has a task run in a turn of a group; keeps the event loop alive until then. */
  post(groupId: number, task: Task, result = 0, flags = 0): void {
    this.#host.ref();
    this.#lanes[groupId].ready.pushTask(task, result, flags);
    this.#arrived(groupId);
  }

  /** Has the result of an operation handed out in a turn of its group. */
  postCompletion(groupId: number, operationId: number, result: number, flags: number): void {
    this.#lanes[groupId].ready.pushCompletion(operationId, result, flags);
    this.#arrived(groupId);
  }

  /** Has a task run at the end of the current group's turn; keeps the event loop alive until then. */
  defer(task: Task): void {
    const groupId = currentGroupId();
    this.#host.ref();
    this.#lanes[groupId].deferred.push(task);
    this.#arrived(groupId);
  }

  /**
   * Accounts for the turn that has ended.
   *
   * @param ranMs - How long it took, its continuations included.
   */
  endTurn(ranMs: number): void {
    const groupId = this.#running;
    if (groupId < 0) return;
    this.#running = -1;
    const lane = this.#lanes[groupId];
    this.#tree.charge(groupId, ranMs);
    this.stats.ran(groupId, ranMs, this.#items);
    if (this.#items > 0) lane.perItemMs += (ranMs / this.#items - lane.perItemMs) * SMOOTHING;
    if (lane.hasWork) this.stats.becameReady(groupId, this.#host.nowMs());
    else this.#tree.deactivate(groupId);
  }

  /** Charges the default group for what ran outside of turns: Node's own callbacks. */
  chargeDefault(ranMs: number): void {
    this.#tree.charge(DEFAULT_GROUP_ID, ranMs);
    this.stats.ran(DEFAULT_GROUP_ID, ranMs, 0);
  }

  /** Begins a turn of the default group in which the caller itself does something. */
  beginDefaultTurn(): void {
    this.#begin(DEFAULT_GROUP_ID);
    this.#last = DEFAULT_GROUP_ID;
    this.#lastFinished = false;
    this.stats.begins(DEFAULT_GROUP_ID, 0);
    if (this.#waiting > 0) this.#host.requestTurn();
  }

  /** Begins a turn of the group that is next; false when no group has work. */
  runNext(): boolean {
    const last = this.#last;
    // What continuations deferred belongs to the turn in which they ran.
    this.#lastFinished = last >= 0 && !this.#lastFinished && this.#lanes[last].deferred.length > 0;
    const groupId = this.#lastFinished ? last : this.#tree.next();
    this.#last = groupId;
    if (groupId < 0) return false;
    this.#begin(groupId);
    this.stats.begins(groupId, this.#host.nowMs());
    if (this.#lastFinished) this.#finish();
    else this.#runTurn();
    return true;
  }

  /** A turn of the default group while there is no other. */
  runUngrouped(): void {
    this.#begin(DEFAULT_GROUP_ID);
    this.#running = -1;
    this.#runTurn();
  }

  /** What a group has used and how long it waited; the longest wait starts anew. */
  snapshot(group: SchedulingGroup): GroupSnapshot {
    const { id, name, shares } = group;
    const { runMs, turns, items, waitMs, longestWaitMs } = this.stats;
    const snapshot = {
      id,
      name,
      shares,
      runMs: runMs[id],
      turns: turns[id],
      items: items[id],
      queueLength: this.#lanes[id].ready.size,
      waitMs: waitMs[id],
      longestWaitMs: longestWaitMs[id],
    };
    longestWaitMs[id] = 0;
    return snapshot;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#tree.invariants();
    let waiting = 0;
    for (const group of this.groups.all) {
      const lane = this.#lanes[group.id];
      lane.ready.invariants();
      waiting += lane.ready.size + lane.deferred.length;
      if (this.#grouped && lane.hasWork && !this.#tree.isActive(group.id)) {
        throw new SunstarError(
          'SUNSTAR_BROKEN_INVARIANT',
          `Group ${group.name} has work and is not scheduled.`,
        );
      }
    }
    if (waiting !== this.#waiting) {
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', `${this.#waiting} items counted, ${waiting} found.`);
    }
  }

  #add(group: SchedulingGroup): Lane {
    const lane = new Lane();
    this.#lanes[group.id] = lane;
    this.#tree.add(group.id, group, group.parent?.id ?? -1);
    return lane;
  }

  #arrived(groupId: number): void {
    this.#waiting++;
    if (this.#grouped && !this.#tree.isActive(groupId)) this.#activate(groupId);
    this.#host.requestTurn();
  }

  #activate(groupId: number): void {
    this.#tree.activate(groupId);
    this.stats.becameReady(groupId, this.#host.nowMs());
  }

  #begin(groupId: number): void {
    swapGroup(groupId);
    this.#running = groupId;
    this.#lane = this.#lanes[groupId];
    this.#turn++;
    this.#items = 0;
  }

  #runTurn(): void {
    const { perItemMs } = this.#lane;
    // Without an estimate from turns that were measured, the clock alone ends the turn.
    this.#chunk = this.#grouped ? within(1, CHUNK_MS / perItemMs, MAX_CHUNK) : 1;
    this.#itemsLeft = this.#grouped ? within(1, this.#quotaMs / perItemMs, MAX_ITEMS) : MAX_ITEMS;
    this.#deadlineMs = this.#host.nowMs() + this.#quotaMs;
    this.#deliver();
    this.#finish();
  }

  #finish(): void {
    if (this.#lane.deferred.length > 0) this.#runDeferred();
    if (this.#waiting > 0) this.#host.requestTurn();
  }

  /** Hands out some items, and comes back after their continuations. */
  #deliver(): void {
    const { ready } = this.#lane;
    const host = this.#host;
    let left = this.#chunk;
    while (left > 0 && ready.size > 0 && this.#itemsLeft > 0) {
      ready.take();
      this.#waiting--;
      this.#items++;
      this.#itemsLeft--;
      const { task, result, flags } = ready;
      try {
        if (task === null) {
          left--;
          host.deliver(ready.operationId, result, flags);
        } else {
          // A task may run for as long as it likes: the clock is asked after each.
          left = 0;
          host.unref();
          task.complete(result, flags);
        }
      } catch (error) {
        throwLater(error);
      }
    }
    if (ready.size === 0 || this.#itemsLeft === 0) return;
    this.#continuesTurn = this.#turn;
    void RESOLVED.then(this.#continue);
  }

  #runDeferred(): void {
    const lane = this.#lane;
    const tasks = lane.deferred;
    lane.deferred = [];
    this.#waiting -= tasks.length;
    for (const task of tasks) {
      this.#host.unref();
      try {
        task.complete(0, 0);
      } catch (error) {
        throwLater(error);
      }
    }
  }
}

function within(least: number, value: number, most: number): number {
  return value < least ? least : value > most ? most : Math.floor(value);
}

/** Makes it an uncaught exception; what else waits is not lost with it. */
function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
