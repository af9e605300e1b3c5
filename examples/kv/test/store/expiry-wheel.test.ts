import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EXPIRY_DOUBLE, TIMER_NEXT_WORD, TIMER_PREVIOUS_WORD } from '../../src/store/entries.js';
import { ExpiryWheel } from '../../src/store/expiry-wheel.js';
import { wordOf } from '../../src/store/hash-table.js';

const TICK_MS = 64;
const START_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;

/** A wheel over entries 0, 4, 8, … that need no allocator. */
class Fixture {
  readonly #buffer = new ArrayBuffer(32 * 1024);
  readonly int32: Int32Array = new Int32Array(this.#buffer).fill(-1);
  readonly float64: Float64Array = new Float64Array(this.#buffer);
  readonly wheel: ExpiryWheel = new ExpiryWheel(this);
  readonly visited: number[] = [];

  add(index: number, expireAtMs: number, nowMs: number): void {
    this.float64[4 * index + EXPIRY_DOUBLE] = expireAtMs;
    this.wheel.add(4 * index, nowMs);
  }

  remove(index: number): void {
    this.wheel.remove(4 * index);
  }

  advance(nowMs: number, budget = 1_000_000): number {
    return this.wheel.advance(nowMs, budget, { visit: (entry) => this.visited.push(entry / 4) });
  }

  takeVisited(): number[] {
    return this.visited.splice(0);
  }
}

describe('ExpiryWheel', () => {
  test.each([1, 64, 4096, 5000, 300_000, 20_000_000, DAY_MS, 400 * DAY_MS, 400_000 * DAY_MS])(
    'an entry leaves %i ms later, within a tick',
    (delayMs) => {
      const fixture = new Fixture();
      fixture.add(3, START_MS + delayMs, START_MS);
      expect(fixture.wheel.has(12)).toBe(true);
      fixture.advance(START_MS + delayMs - 1);
      expect(fixture.takeVisited()).toEqual([]);
      fixture.wheel.invariants();
      fixture.advance(START_MS + delayMs + 2 * TICK_MS);
      expect(fixture.takeVisited()).toEqual([3]);
      expect(fixture.wheel.size).toBe(0);
      expect(fixture.wheel.has(12)).toBe(false);
    },
  );

  test('a jump of the clock over years costs a few steps', () => {
    const fixture = new Fixture();
    fixture.add(0, START_MS + 5, START_MS);
    fixture.add(1, START_MS + 20_000 * DAY_MS, START_MS);
    expect(fixture.advance(START_MS + 10_000 * DAY_MS, 2000)).toBeGreaterThan(0);
    expect(fixture.takeVisited()).toEqual([0]);
  });

  test('the budget bounds the work, and nothing is lost', () => {
    const fixture = new Fixture();
    for (let index = 0; index < 500; index++) fixture.add(index, START_MS + 100_000, START_MS);
    const late = START_MS + 200_000;
    for (let calls = 0; fixture.advance(late, 50) === 0; calls++) {
      expect(fixture.visited.length).toBeLessThanOrEqual(50 * (calls + 1));
      expect(calls).toBeLessThan(200);
      fixture.wheel.invariants();
    }
    expect(new Set(fixture.takeVisited()).size).toBe(500);
  });

  test('waits while the clock is set back', () => {
    const fixture = new Fixture();
    fixture.add(0, START_MS + 1000, START_MS);
    fixture.advance(START_MS + 500);
    fixture.advance(START_MS - 100_000);
    fixture.add(1, START_MS - 99_000, START_MS - 100_000);
    fixture.advance(START_MS - 98_000);
    expect(fixture.takeVisited()).toEqual([]);
    fixture.advance(START_MS + 2000);
    expect(fixture.takeVisited().sort()).toEqual([0, 1]);
  });

  test('starts anew when it is empty, also when the clock was set back', () => {
    const fixture = new Fixture();
    fixture.add(0, START_MS + 1000, START_MS);
    fixture.advance(START_MS + 2000);
    expect(fixture.takeVisited()).toEqual([0]);
    fixture.add(1, START_MS - DAY_MS + 1000, START_MS - DAY_MS);
    fixture.advance(START_MS - DAY_MS + 2000);
    expect(fixture.takeVisited()).toEqual([1]);
  });

  test('forgets all', () => {
    const fixture = new Fixture();
    fixture.add(0, START_MS + 1000, START_MS);
    fixture.wheel.clear();
    fixture.advance(START_MS + 5000);
    expect(fixture.takeVisited()).toEqual([]);
    fixture.wheel.invariants();
  });

  test('invariants notice a broken list', () => {
    const fixture = new Fixture();
    fixture.add(0, START_MS + 1000, START_MS);
    fixture.add(1, START_MS + 1000, START_MS);
    fixture.int32[wordOf(0) + TIMER_PREVIOUS_WORD] = 40;
    expect(() => fixture.wheel.invariants()).toThrow('broken link');
    fixture.int32[wordOf(4) + TIMER_NEXT_WORD] = -1;
    expect(() => fixture.wheel.invariants()).toThrow();
  });

  test('behaves as a list that is searched', () => {
    const delay = fc.oneof(fc.integer({ min: -1000, max: 10_000 }), fc.integer({ min: 0, max: 50 * DAY_MS }));
    const action = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), index: fc.nat(200), delayMs: delay }),
      fc.record({ kind: fc.constant('remove' as const), index: fc.nat(200) }),
      fc.record({
        kind: fc.constant('advance' as const),
        byMs: fc.oneof(fc.nat(500), fc.nat(100_000), fc.nat(40 * DAY_MS)),
        budget: fc.oneof(fc.constant(1_000_000), fc.integer({ min: 1, max: 30 })),
      }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 150 }), (actions) => {
        const fixture = new Fixture();
        const model = new Map<number, number>();
        let nowMs = START_MS;
        for (const step of actions) {
          if (step.kind === 'add' && !model.has(step.index)) {
            // One that has expired already is due at once, which is in the tick that comes next.
            model.set(step.index, nowMs + Math.max(step.delayMs, 0));
            fixture.add(step.index, nowMs + step.delayMs, nowMs);
          } else if (step.kind === 'remove' && model.delete(step.index)) {
            fixture.remove(step.index);
          } else if (step.kind === 'advance') {
            nowMs += step.byMs;
            const left = fixture.advance(nowMs, step.budget);
            for (const index of fixture.takeVisited()) {
              expect(model.get(index)).toBeLessThanOrEqual(nowMs);
              model.delete(index);
            }
            if (left > 0) {
              for (const expireAtMs of model.values())
                expect(expireAtMs).toBeGreaterThan(nowMs - 2 * TICK_MS);
            }
          }
          fixture.wheel.invariants();
          expect(fixture.wheel.size).toBe(model.size);
        }
      }),
      { numRuns: 150 },
    );
  });
});
