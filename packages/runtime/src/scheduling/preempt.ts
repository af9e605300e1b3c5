/** Seastar's task quota. */
export const DEFAULT_TASK_QUOTA_US = 500;

/** Calls between looks at the clock. */
const CALLS_PER_LOOK = 64;

// A word of the reactor's control block that the monitor's thread sets. On a thread without a reactor it is always
// set, and the clock decides.
let words: Int32Array = new Int32Array([1]);
let at = 0;
let isWatched = false;
let calls = 0;
let quotaMs: number = DEFAULT_TASK_QUOTA_US / 1000;
/** When the turn began, in milliseconds of performance.now() and as much ahead of it. */
let turn: Float64Array = new Float64Array(1);
let aheadMs = 0;

/**
 * Whether the running turn has used up the task quota, so that what runs should make room: yield, or end. Costs a
 * memory load; on a thread without a reactor, a look at the clock every 64 calls.
 */
export function needPreempt(): boolean {
  return words[at] !== 0 && (isWatched || isTimeOver());
}

/**
 * {@link needPreempt}, which also looks at the clock every 64 calls: where other programs keep the processors busy, the
 * monitor may come late.
 */
export function mustPreempt(): boolean {
  return words[at] !== 0 ? isWatched || isTimeOver() : isTimeOver();
}

/** When the running turn began, in milliseconds; costs a memory load. On a thread without a reactor, the time now. */
export function turnMs(): number {
  return isWatched ? turn[0] : performance.now();
}

/** A turn begins, on a thread without a reactor. */
export function beginSlice(): void {
  if (!isWatched) turn[0] = performance.now();
}

/** What the reactor knows of its turns. */
export interface WatchedTurns {
  readonly control: Int32Array;
  /** The word that is set when the quota is used up. */
  readonly preemptAt: number;
  /** Holds when the turn began, on the reactor's clock. */
  readonly turn: Float64Array;
  /** How much the reactor's clock is ahead of performance.now(). */
  readonly aheadMs: number;
  readonly quotaMs: number;
}

/** For the reactor. */
export function watchTurns(turns: WatchedTurns): void {
  words = turns.control;
  at = turns.preemptAt;
  turn = turns.turn;
  aheadMs = turns.aheadMs;
  quotaMs = turns.quotaMs;
  isWatched = true;
}

function isTimeOver(): boolean {
  if (++calls % CALLS_PER_LOOK !== 0) return false;
  return performance.now() + aheadMs - turn[0] >= quotaMs;
}
