import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LowresClock } from '../../src/sync/lowres-clock.ts';

function spin(ms: number): void {
  for (const endMs = performance.now() + ms; performance.now() < endMs; );
}

test('stands still within a turn of the event loop, goes on in the next, and can be asked to look', async () => {
  const clock = new LowresClock();
  const beforeMs = performance.now();
  const firstMs = clock.nowMs;
  expect(firstMs).toBeGreaterThanOrEqual(beforeMs);
  spin(3);
  await Promise.resolve();
  expect(clock.nowMs).toBe(firstMs);
  const lookedMs = clock.refresh();
  expect(lookedMs).toBeGreaterThanOrEqual(firstMs + 3);
  expect(clock.nowMs).toBe(lookedMs);
  await nextTurn();
  await nextTurn();
  spin(1);
  expect(clock.nowMs).toBeGreaterThan(lookedMs);
});
