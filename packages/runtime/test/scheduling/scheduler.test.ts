import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { currentGroupId } from '../../src/scheduling/current-group.ts';
import type { SchedulingGroup } from '../../src/scheduling/groups.ts';
import { ManualLoop } from './manual-loop.ts';

const QUOTA_MS = 0.5;

/** Works for ever, `stepMs` at a time. */
function saturate(loop: ManualLoop, group: SchedulingGroup, stepMs: number): void {
  void group.run(async () => {
    for (;;) {
      loop.spend(stepMs);
      await loop.yield();
    }
  });
}

function runMs(loop: ManualLoop, group: SchedulingGroup): number {
  return loop.scheduler.snapshot(group).runMs;
}

describe('Scheduler', () => {
  test('gives 100 and 300 shares 1:3 within 5 %, and a latency-sensitive group waits less than 2 ms', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.double({ min: 0.2, max: 5, noNaN: true }), { minLength: 30, maxLength: 60 }),
        async (firstStepMs, secondStepMs, width, gaps) => {
          const loop = new ManualLoop();
          const small = loop.group('small', 100);
          const large = loop.group('large', 300);
          const urgent = loop.group('urgent', 100, true);
          for (let i = 0; i < width; i++) {
            saturate(loop, small, firstStepMs);
            saturate(loop, large, secondStepMs);
          }
          await loop.runUntil(20);
          const before = [runMs(loop, small), runMs(loop, large)];
          const waits: number[] = [];
          let atMs = loop.nowMs();
          for (const gapMs of gaps) {
            atMs += gapMs;
            const dueMs = atMs;
            loop.at(dueMs, () => {
              loop.scheduler.post(urgent.id, {
                complete() {
                  waits.push(loop.nowMs() - dueMs);
                  loop.spend(0.02);
                },
              });
            });
          }
          await loop.runUntil(atMs + 100);
          const [ofSmall, ofLarge] = [runMs(loop, small) - before[0], runMs(loop, large) - before[1]];
          expect(ofLarge / ofSmall).toBeGreaterThan(3 * 0.95);
          expect(ofLarge / ofSmall).toBeLessThan(3 * 1.05);
          expect(waits).toHaveLength(gaps.length);
          // The turn that ran, which may go over its quota by one step.
          expect(Math.max(...waits)).toBeLessThanOrEqual(
            QUOTA_MS + Math.max(firstStepMs, secondStepMs) + 0.02,
          );
        },
      ),
      { numRuns: 10 },
    );
  });

  test('shares inside of a group do not count outside of it', async () => {
    const loop = new ManualLoop();
    const alone = loop.group('alone', 100);
    const service = loop.group('service', 300);
    const requests = loop.group('requests', 900, false, service);
    const compaction = loop.group('compaction', 100, false, service);
    for (const group of [alone, requests, compaction]) saturate(loop, group, 0.1);
    await loop.runUntil(400);
    const [one, two, three] = [alone, requests, compaction].map((group) => runMs(loop, group));
    expect((two + three) / one).toBeCloseTo(3, 0);
    expect(two / three).toBeCloseTo(9, 0);
  });

  test('follows shares that change while it runs', async () => {
    const loop = new ManualLoop();
    const first = loop.group('first', 1000);
    const second = loop.group('second', 1);
    saturate(loop, first, 0.05);
    saturate(loop, second, 0.05);
    await loop.runUntil(50);
    first.shares = 100;
    second.shares = 400;
    const before = [runMs(loop, first), runMs(loop, second)];
    await loop.runUntil(250);
    const ratio = (runMs(loop, second) - before[1]) / (runMs(loop, first) - before[0]);
    expect(ratio).toBeGreaterThan(3.8);
    expect(ratio).toBeLessThan(4.2);
  });

  test('continues every chain of awaits in its group, at any depth, for any mix of groups and costs', async () => {
    const step = fc.record({
      kind: fc.constantFrom('operation', 'yield', 'resolved', 'other group'),
      depth: fc.nat(4),
      costMs: fc.constantFrom(0, 0.001, 0.1, 0.7),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(5), fc.array(step, { maxLength: 8 })), { minLength: 1, maxLength: 12 }),
        async (chains) => {
          const loop = new ManualLoop();
          const groups = [
            loop.groups.default,
            ...[10, 100, 1000, 100, 50].map((shares, i) => loop.group(`${i}`, shares, i === 3)),
          ];
          const wrong: string[] = [];
          const check = (group: SchedulingGroup, where: string): void => {
            if (currentGroupId() !== group.id) wrong.push(`${where} of ${group.id} in ${currentGroupId()}`);
          };
          let ended = 0;
          const nested = async (group: SchedulingGroup, kind: string, depth: number): Promise<void> => {
            if (depth > 0) await nested(group, kind, depth - 1);
            check(group, 'before');
            if (kind === 'operation') await loop.operation(loop.nowMs() + 0.1 * depth);
            else if (kind === 'yield') await loop.yield();
            else if (kind === 'resolved') await Promise.resolve();
            else {
              const other = groups[(group.id + 1 + depth) % groups.length];
              await other.run(async () => {
                check(other, 'inside');
                await loop.operation(loop.nowMs());
                check(other, 'inside, later');
              });
            }
            check(group, `after ${kind}`);
          };
          for (const [at, steps] of chains) {
            const group = groups[at];
            void group
              .run(async () => {
                check(group, 'start');
                for (const { kind, depth, costMs } of steps) {
                  loop.spend(costMs);
                  await nested(group, kind, depth);
                }
              })
              .then(() => {
                check(loop.groups.default, 'the caller');
                ended++;
              });
          }
          await loop.runUntil(Number.POSITIVE_INFINITY);
          expect(wrong).toEqual([]);
          expect([ended, loop.refs, loop.scheduler.waiting]).toEqual([chains.length, 0, 0]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a turn ends at its quota although the work is done in continuations', async () => {
    const loop = new ManualLoop();
    const busy = loop.group('busy', 100);
    const other = loop.group('other', 100);
    const waits: number[] = [];
    // Each costs more than it seems: the time is spent two awaits later.
    void busy.run(async () => {
      for (let i = 0; i < 3_000; i++) {
        void loop.operation(loop.nowMs() + 1).then(async () => {
          await Promise.resolve();
          loop.spend(0.02);
        });
      }
      await Promise.resolve();
    });
    for (let i = 1; i <= 40; i++) {
      loop.at(i, () => {
        loop.scheduler.post(other.id, { complete: () => waits.push(loop.nowMs() - i) });
      });
    }
    await loop.runUntil(100);
    expect(waits).toHaveLength(40);
    expect(Math.max(...waits)).toBeLessThan(2 * QUOTA_MS);
  });

  test('runs what continuations deferred right after them, once', async () => {
    const loop = new ManualLoop();
    const first = loop.group('first', 100);
    const second = loop.group('second', 100);
    const order: string[] = [];
    const note = (what: string) => ({ complete: () => void order.push(`${what} in ${currentGroupId()}`) });
    void second.run(() => void order.push('second'));
    void first.run(async () => {
      order.push('first');
      loop.scheduler.defer(note('deferred at once'));
      await Promise.resolve();
      loop.scheduler.defer({
        complete() {
          order.push('deferred later');
          loop.scheduler.defer(note('deferred by deferred'));
        },
      });
    });
    await loop.runUntil(Number.POSITIVE_INFINITY);
    expect(order.toSorted()).toEqual([
      'deferred at once in 1',
      'deferred by deferred in 1',
      'deferred later',
      'first',
      'second',
    ]);
    const ofFirst = order.slice(order.indexOf('first'));
    expect(ofFirst.indexOf('deferred later')).toBeLessThan(ofFirst.indexOf('deferred by deferred in 1'));
    expect(loop.refs).toBe(0);
  });

  test('measures turns, items and waits', async () => {
    const loop = new ManualLoop();
    const first = loop.group('first', 100);
    const second = loop.group('second', 100);
    for (const group of [first, second]) {
      for (let i = 0; i < 2; i++) loop.scheduler.post(group.id, { complete: () => loop.spend(3) });
    }
    expect(loop.scheduler.snapshot(first).queueLength).toBe(2);
    await loop.runUntil(Number.POSITIVE_INFINITY);
    expect(loop.scheduler.snapshot(first)).toEqual({
      id: 1,
      name: 'first',
      shares: 100,
      runMs: 6,
      turns: 2,
      items: 2,
      queueLength: 0,
      waitMs: 3,
      longestWaitMs: 3,
    });
    expect(loop.scheduler.snapshot(second)).toMatchObject({
      runMs: 6,
      turns: 2,
      waitMs: 6,
      longestWaitMs: 3,
    });
    expect(loop.scheduler.snapshot(second).longestWaitMs).toBe(0);
    expect(loop.scheduler.snapshot(second).waitMs).toBe(6);
  });
});
