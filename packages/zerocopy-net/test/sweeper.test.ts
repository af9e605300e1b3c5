import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Sweeper, type Swept } from '../src/sweeper.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

class Target implements Swept {
  readonly sweeps: number[] = [];
  sweep(nowMs: number): void {
    this.sweeps.push(nowMs);
  }
}

test('sweeps four times per shortest timeout, with one timer, and only while something is watched', () => {
  const sweeper = new Sweeper(() => Date.now());
  const slow = new Target();
  const fast = new Target();
  sweeper.watch(slow, 60_000);
  vi.advanceTimersByTime(3000);
  // At least once a second, however long the timeout is.
  expect(slow.sweeps).toHaveLength(3);
  sweeper.watch(fast, 400);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(400);
  expect(fast.sweeps).toHaveLength(4);
  sweeper.watch(fast, 1);
  vi.advanceTimersByTime(100);
  // Not more often than every 25 ms.
  expect(fast.sweeps).toHaveLength(8);
  sweeper.forget(fast);
  sweeper.forget(slow);
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(10_000);
  expect(fast.sweeps).toHaveLength(8);
  sweeper.watch(slow, 60_000);
  expect(vi.getTimerCount()).toBe(1);
  sweeper.forget(slow);
});

test('targets may be forgotten while they are swept', () => {
  const sweeper = new Sweeper(() => Date.now());
  const second = new Target();
  sweeper.watch({ sweep: () => sweeper.forget(second) }, 100);
  sweeper.watch(second, 100);
  vi.advanceTimersByTime(50);
  expect(second.sweeps).toHaveLength(0);
  expect(sweeper.watchedCount).toBe(1);
});
