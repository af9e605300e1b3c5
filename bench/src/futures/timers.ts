import { NodeTimers, Timer, type Timers, threadTimers } from '@sunstar/runtime';
import type { BenchmarkCase } from '../harness/benchmark.js';
import { futuresCase, nothing, OPERATIONS } from './futures-case.js';

/** Timers, by the coarse clock and by an exact one. */
export function timerCases(): BenchmarkCase[] {
  const timer = new Timer(nothing);
  const exactTimers = new NodeTimers({
    clock: {
      get nowMs() {
        return performance.now();
      },
    },
  });
  const others = Array.from({ length: 1_000 }, () => new Timer(nothing));
  const nodeOthers: NodeJS.Timeout[] = [];
  const pair = (name: string, timers: Timers): BenchmarkCase =>
    futuresCase(
      name,
      () => {
        for (let i = 0; i < OPERATIONS; i++) {
          timers.arm(timer, 30_000);
          timers.cancel(timer);
        }
      },
      {
        'setTimeout and clearTimeout': () => {
          for (let i = 0; i < OPERATIONS; i++) clearTimeout(setTimeout(nothing, 30_000));
        },
      },
    );
  return [
    pair('timer arm and cancel', threadTimers),
    pair('timer arm and cancel, exact clock', exactTimers),
    {
      ...pair('timer arm and cancel, 1,000 others armed', threadTimers),
      setup() {
        for (const [i, other] of others.entries()) {
          threadTimers.arm(other, 60_000 + i);
          nodeOthers.push(setTimeout(nothing, 60_000 + i));
        }
        return Promise.resolve();
      },
      teardown() {
        for (const other of others) threadTimers.cancel(other);
        for (const other of nodeOthers) clearTimeout(other);
        return Promise.resolve();
      },
    },
  ];
}
