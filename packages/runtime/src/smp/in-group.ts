import { currentGroupId, DEFAULT_GROUP_ID } from '../scheduling/index.js';
import type { Task } from '../scheduling/task.js';
import { threadGroups, threadScheduler } from '../scheduling/thread-scheduler.js';
import type { Resolve } from './pending-calls.js';

/**
 * The group in whose turn something has to be done, or −1 when that can be done here and now. Messages are read
 * in turns of the default group. A group that this shard does not have is the default group.
 */
export function otherGroup(groupId: number): number {
  if (groupId === currentGroupId()) return -1;
  if (threadGroups.byId(groupId) !== undefined) return groupId;
  return currentGroupId() === DEFAULT_GROUP_ID ? -1 : DEFAULT_GROUP_ID;
}

/** Has a task run in a turn of a group. */
export function postTo(groupId: number, task: Task): void {
  threadScheduler.post(groupId, task);
}

const MAX_IDLE = 1024;
const idle: Settling[] = [];

/** Settles a promise in a turn of a group: what waits for it goes on there. */
class Settling implements Task {
  resolve: Resolve = () => {};
  value: unknown;

  complete(): void {
    const { resolve, value } = this;
    this.value = undefined;
    if (idle.length < MAX_IDLE) idle.push(this);
    resolve(value);
  }
}

/** Settles a promise in the group that waits for it. */
export function settleIn(groupId: number, resolve: Resolve, value: unknown): void {
  const other = otherGroup(groupId);
  if (other < 0) {
    resolve(value);
    return;
  }
  const settling = idle.pop() ?? new Settling();
  settling.resolve = resolve;
  settling.value = value;
  threadScheduler.post(other, settling);
}
