import { currentGroupId } from './current-group.js';
import { mustPreempt } from './preempt.js';
import { turnOf } from './thread-scheduler.js';

/** Makes room for others: resolves in a later turn of the current group, or later in this one, behind what waits there. */
export function yieldNow(): Promise<void> {
  return turnOf(currentGroupId());
}

/**
 * Makes room for others if the task quota is used up; undefined if not, so that a loop pays for a promise only when it
 * has to wait: `const pause = maybeYield(); if (pause !== undefined) await pause;`. (An `await` of undefined is an
 * `await`, and costs a microtask.)
 */
export function maybeYield(): Promise<void> | undefined {
  return mustPreempt() ? turnOf(currentGroupId()) : undefined;
}
