import { setImmediate as immediate } from 'node:timers/promises';
import { median } from './statistics.js';

const DURATION_MS = 200;

/**
 * Calls `body` again and again for about `durationMs` and gives the nanoseconds that one operation took. Long enough
 * for the garbage that a body leaves to be collected within the measurement, so that it is paid for.
 *
 * @param operations - How many operations one call of `body` does: enough to make a look at the clock negligible.
 */
export function nanosecondsPerOperation(
  operations: number,
  body: () => void,
  durationMs: number = DURATION_MS,
): number {
  const startedAt = performance.now();
  let calls = 0;
  let elapsedMs = 0;
  do {
    body();
    calls++;
    elapsedMs = performance.now() - startedAt;
  } while (elapsedMs < durationMs);
  return (elapsedMs * 1e6) / (calls * operations);
}

/** The same for a body that is finished when its promise is. */
export async function nanosecondsPerOperationAsync(
  operations: number,
  body: () => Promise<void>,
  durationMs: number = DURATION_MS,
): Promise<number> {
  const startedAt = performance.now();
  let calls = 0;
  let elapsedMs = 0;
  do {
    await body();
    calls++;
    elapsedMs = performance.now() - startedAt;
  } while (elapsedMs < durationMs);
  return (elapsedMs * 1e6) / (calls * operations);
}

const TURNS = 100;

/**
 * Nanoseconds of an operation that is asked for in short turns of the event loop: the median of many, of which each is
 * far shorter than a task quota.
 *
 * @param operations - How many operations one call of `body` does.
 */
export async function nanosecondsInTurns(operations: number, body: () => void): Promise<number> {
  const samples: number[] = [];
  for (let i = 0; i < TURNS; i++) {
    await immediate();
    const startedAt = process.hrtime.bigint();
    body();
    samples.push(Number(process.hrtime.bigint() - startedAt) / operations);
  }
  return median(samples);
}
