import { performance } from 'node:perf_hooks';
import { monotonicMs } from '../reactor/clock.js';
import type { Clock } from '../sync/index.js';

// The global of this name is a getter, and an imported name is looked up at each use.
const threadClock = performance;
/** `performance.now()` counts from the start of its thread, at the rate of the clock that all threads share. */
const offsetMs = monotonicMs() - threadClock.now();

/** CLOCK_MONOTONIC, the same on all threads of the process: for deadlines that travel. */
export const sharedClock: Clock = {
  get nowMs(): number {
    return threadClock.now() + offsetMs;
  },
};
