import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_DELAY_MS, Timer } from '../../src/sync/timer.ts';
import { TimerWheel } from '../../src/sync/timer-wheel.ts';

const TIMERS = 12;

type Step =
  | { readonly op: 'arm'; readonly timer: number; readonly delayMs: number }
  | { readonly op: 'cancel'; readonly timer: number }
  | { readonly op: 'advance'; readonly ms: number };

/** What a timer does when it is due, besides writing its name down. */
interface Reaction {
  readonly op: 'nothing' | 'arm' | 'cancel';
  readonly timer: number;
  readonly delayMs: number;
}

interface Armed {
  readonly timer: number;
  readonly dueMs: number;
  readonly order: number;
}

/** Times of all magnitudes, so that all levels are used. */
const timeMs: fc.Arbitrary<number> = fc
  .tuple(fc.nat(29), fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean())
  .map(([bits, part, isWhole]) => {
    const value = 2 ** bits * (1 + part);
    return Math.min(isWhole ? Math.floor(value) : value, MAX_DELAY_MS);
  });
const timer = fc.nat(TIMERS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('arm'), timer, delayMs: timeMs } as const) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('cancel'), timer } as const) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('advance'), ms: timeMs } as const) },
);
const reaction: fc.Arbitrary<Reaction> = fc.record({
  op: fc.constantFrom('nothing', 'arm', 'cancel'),
  timer,
  delayMs: timeMs,
});

function compare(startMs: number, reactions: readonly Reaction[], steps: readonly Step[]): void {
  const wheel = new TimerWheel({ nowMs: startMs });
  const fired: string[] = [];
  const expected: string[] = [];
  let armed: Armed[] = [];
  let order = 0;
  let nowMs = startMs;
  // The tick that the wheel stands at, from its start.
  let tick = 0;
  const modelArm = (timer: number, delayMs: number): void => {
    armed = armed.filter((entry) => entry.timer !== timer);
    const dueMs = Math.max(Math.ceil(nowMs + delayMs - startMs), tick + 1);
    armed.push({ timer, dueMs, order: order++ });
  };
  const timers = Array.from({ length: TIMERS }, (_, index) => {
    const { op, timer, delayMs } = reactions[index];
    return new Timer(() => {
      fired.push(`${index} at ${wheel.nowMs}`);
      if (op === 'arm') wheel.arm(timers[timer], delayMs);
      else if (op === 'cancel') wheel.cancel(timers[timer]);
    });
  });

  for (const step of steps) {
    switch (step.op) {
      case 'arm':
        wheel.arm(timers[step.timer], step.delayMs);
        modelArm(step.timer, step.delayMs);
        break;
      case 'cancel': {
        const isArmed = armed.some((entry) => entry.timer === step.timer);
        expect(wheel.cancel(timers[step.timer])).toBe(isArmed);
        armed = armed.filter((entry) => entry.timer !== step.timer);
        break;
      }
      case 'advance': {
        nowMs += step.ms;
        wheel.advance(nowMs);
        const target = Math.floor(nowMs - startMs);
        for (;;) {
          const [first] = armed.sort((a, b) => a.dueMs - b.dueMs || a.order - b.order);
          if (first === undefined || first.dueMs > target) break;
          armed.shift();
          tick = first.dueMs;
          expected.push(`${first.timer} at ${nowMs}`);
          const { op, timer, delayMs } = reactions[first.timer];
          if (op === 'arm') modelArm(timer, delayMs);
          else if (op === 'cancel') armed = armed.filter((entry) => entry.timer !== timer);
        }
        tick = target;
        break;
      }
    }
    wheel.invariants();
    expect(wheel.size).toBe(armed.length);
    expect(timers.map((timer) => timer.isArmed)).toEqual(
      timers.map((_, index) => armed.some((entry) => entry.timer === index)),
    );
    const nextMs = Math.min(...armed.map((entry) => startMs + entry.dueMs));
    expect(wheel.nextMs).toBeLessThanOrEqual(nextMs);
    if (armed.length > 0) expect(wheel.nextMs).toBeGreaterThan(startMs + tick);
  }
  expect(fired).toEqual(expected);
}

describe('TimerWheel', () => {
  test('does what a sorted list does', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 0.25, 1_000_000),
        fc.array(reaction, { minLength: TIMERS, maxLength: TIMERS }),
        fc.array(step, { maxLength: 80 }),
        compare,
      ),
      { numRuns: 2_000 },
    );
  });

  test('goes on when its 32-bit ticks wrap around', () => {
    const wheel = new TimerWheel();
    for (let round = 0; round < 12; round++) {
      const dueMs: number[] = [];
      const timers = [1, 31, 32, 1_000, 2 ** 29, MAX_DELAY_MS].map((delayMs) => {
        const expectedMs = wheel.nowMs + delayMs;
        const timer = new Timer(() => dueMs.push(expectedMs - wheel.nowMs));
        wheel.arm(timer, delayMs);
        return timer;
      });
      while (wheel.size > 0) {
        wheel.advance(wheel.nextMs);
        wheel.invariants();
      }
      expect(dueMs).toEqual(timers.map(() => 0));
    }
    expect(wheel.nowMs).toBe(12 * MAX_DELAY_MS);
  });

  test('keeps delays right after it was not advanced for months', () => {
    const wheel = new TimerWheel();
    const longMs = 100 * 24 * 3_600_000;
    let isDue = false;
    wheel.armAt(new Timer(() => (isDue = true)), longMs, 10);
    wheel.advance(longMs + 9);
    expect(isDue).toBe(false);
    wheel.advance(longMs + 10);
    expect(isDue).toBe(true);
  });

  test('runs the others when one throws, and reports the error as uncaught', async () => {
    const wheel = new TimerWheel();
    const uncaught: unknown[] = [];
    const handlers = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => uncaught.push(error));
    const error = new Error('from a timer');
    let runs = 0;
    for (let i = 0; i < 3; i++) {
      const timer = new Timer(() => {
        runs++;
        if (i === 0) throw error;
      });
      wheel.arm(timer, 1);
    }
    wheel.advance(1);
    expect(runs).toBe(3);
    await new Promise((resolve) => setImmediate(resolve));
    for (const handler of handlers) process.on('uncaughtException', handler);
    expect(uncaught).toEqual([error]);
  });

  test('refuses what it cannot do', () => {
    const wheel = new TimerWheel({ maxTimers: 1 });
    const timer = new Timer();
    for (const delayMs of [-1, Number.NaN, MAX_DELAY_MS + 1, Number.POSITIVE_INFINITY]) {
      expect(() => wheel.arm(timer, delayMs)).toThrow(
        expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }),
      );
    }
    wheel.arm(timer, 1);
    wheel.arm(timer, 2);
    expect(() => wheel.arm(new Timer(), 1)).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_TOO_MANY_TIMERS' }),
    );
    let code: unknown;
    const recursive = new Timer(() => {
      try {
        wheel.advance(100);
      } catch (error) {
        code = (error as { code: string }).code;
      }
    });
    wheel.cancel(timer);
    wheel.arm(recursive, 1);
    wheel.advance(1);
    expect(code).toBe('SUNSTAR_SYNC_MISUSE');
    expect(() => wheel.advance(Number.POSITIVE_INFINITY)).toThrow(/finite/);
    wheel.invariants();
  });
});
