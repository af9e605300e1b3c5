import { monotonicMs } from '../reactor/clock.js';
import type { Clock } from '../sync/index.js';

/** `performance.now()` counts from the start of its thread, at the rate of the clock that all threads share. */
const offsetMs = monotonicMs() - performance.now();

/** CLOCK_MONOTONIC, the same on all threads of the process: for deadlines that travel. */
export const sharedClock: Clock = {
  get nowMs(): number {
    return performance.now() + offsetMs;
  },
};
