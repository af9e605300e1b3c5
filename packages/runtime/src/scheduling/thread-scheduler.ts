import { GroupRegistry } from './groups.js';
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
export const threadGroups: GroupRegistry = new GroupRegistry((groupId) => resumeIn(threadScheduler, groupId));

/** This thread's scheduler. */
export const threadScheduler: Scheduler = new Scheduler(threadGroups, new ImmediateHost());
