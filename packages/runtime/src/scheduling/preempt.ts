/** Seastar's task quota. */
export const DEFAULT_TASK_QUOTA_US = 500;

/** Calls between looks at the clock, on a thread that no monitor watches. */
const CALLS_PER_LOOK = 64;

// A word of the reactor's control block that the monitor's thread sets. On a thread without a reactor it is always
// set, and the clock decides.
let words: Int32Array = new Int32Array([1]);
let at = 0;
let isWatched = false;
let calls = 0;
let startedMs = 0;

/**
 * Whether the running turn has used up the task quota, so that what runs should make room: yield, or end. Costs a
 * memory load; on a thread without a reactor, a look at the clock every 64 calls.
 */
export function needPreempt(): boolean {
  return words[at] !== 0 && (isWatched || isQuotaUsedUp());
}

/** A new slice of time begins, on a thread that no monitor watches. */
export function beginSlice(): void {
  if (!isWatched) startedMs = performance.now();
}

/** Looks at this word from now on. For the reactor. */
export function watchPreemption(control: Int32Array, index: number): void {
  words = control;
  at = index;
  isWatched = true;
}

function isQuotaUsedUp(): boolean {
  if (++calls % CALLS_PER_LOOK !== 0) return false;
  return performance.now() - startedMs >= DEFAULT_TASK_QUOTA_US / 1000;
}
