import { currentGroupId } from './current-group.js';
import { GroupRegistry, type SchedulingGroup } from './groups.js';
import { beginSlice } from './preempt.js';
import { resumeIn } from './resume.js';
import { Scheduler, type SchedulerHost } from './scheduler.js';

/** Turns on a thread without a reactor: in the check phase of Node's event loop, which waits for them. */
class ImmediateHost implements SchedulerHost {
  #isRequested = false;
  readonly #run = (): void => {
    this.#isRequested = false;
    beginSlice();
    if (threadScheduler.hasWork && !threadScheduler.grouped) threadScheduler.runUngrouped();
  };

  nowMs(): number {
    return performance.now();
  }

  requestTurn(): void {
    if (this.#isRequested) return;
    this.#isRequested = true;
    setImmediate(this.#run);
  }

  // Only a reactor has operations.
  deliver(): void {}
  // An immediate keeps the loop alive by itself.
  ref(): void {}
  unref(): void {}
}

/** This thread's groups. */
export const threadGroups: GroupRegistry = new GroupRegistry((groupId) => turnOf(groupId));

/** This thread's scheduler. */
export const threadScheduler: Scheduler = new Scheduler(threadGroups, new ImmediateHost());

/** The scheduling group whose code runs now on this thread. */
export function currentGroup(): SchedulingGroup {
  return threadGroups.byId(currentGroupId()) ?? threadGroups.default;
}

/** Calls a function in a group: at once if it is the current one, else in one of its turns. It must not throw. */
export function callIn(groupId: number, call: () => void): void {
  if (groupId === currentGroupId()) call();
  else threadScheduler.post(groupId, { complete: call });
}

/**
 * The same outcome, in a turn of the group that calls this: for a promise that several groups share, or that another
 * group may settle. While a thread has only one group it is the promise itself.
 */
export function inThisGroup<T>(promise: Promise<T>): Promise<T> {
  return threadScheduler.grouped ? continueIn(promise, currentGroupId()) : promise;
}

async function continueIn<T>(promise: Promise<T>, groupId: number): Promise<T> {
  try {
    return await promise;
  } finally {
    if (currentGroupId() !== groupId) await turnOf(groupId);
  }
}

/** A promise that resolves in a turn of a group, behind what waits there. */
export function turnOf(groupId: number): Promise<void> {
  return resumeIn(threadScheduler, groupId);
}
