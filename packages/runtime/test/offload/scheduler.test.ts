import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OffloadScheduler } from '../../src/offload/scheduler.js';

interface Call {
  readonly limit: string;
}

describe('the scheduler of offloaded calls', () => {
  it('keeps every limit, order and bound, and never idles while something may run', () => {
    const names = ['a', 'b', 'c'];
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), limit: fc.constantFrom(...names) }),
      fc.record({ kind: fc.constant('end' as const), which: fc.nat(20) }),
      fc.record({ kind: fc.constant('remove' as const), which: fc.nat(20) }),
    );
    const limit = fc.record({
      concurrency: fc.integer({ min: 1, max: 4 }),
      maxQueued: fc.nat(3),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.tuple(limit, limit, limit),
        fc.array(step, { maxLength: 60 }),
        (threads, limits, steps) => {
          const byName = new Map(names.map((name, index) => [name, limits[index]]));
          const scheduler = new OffloadScheduler<Call>(threads, byName);
          const waiting: Call[] = [];
          const running: Call[] = [];
          const count = (calls: Call[], name: string): number =>
            calls.filter((call) => call.limit === name).length;
          const mayRun = (name: string): boolean =>
            running.length < threads && count(running, name) < (byName.get(name)?.concurrency ?? 0);
          const startAll = (): void => {
            for (let call = scheduler.start(); call !== undefined; call = scheduler.start()) {
              expect(mayRun(call.limit)).toBe(true);
              // In order within its limit.
              expect(waiting.find((other) => other.limit === call?.limit)).toBe(call);
              waiting.splice(waiting.indexOf(call), 1);
              running.push(call);
            }
            for (const { limit: name } of waiting) expect(mayRun(name)).toBe(false);
          };
          for (const action of steps) {
            if (action.kind === 'add') {
              const call = { limit: action.limit };
              const { maxQueued } = byName.get(action.limit) ?? { maxQueued: 0 };
              const full = count(waiting, action.limit) >= maxQueued && !mayRun(action.limit);
              if (full) expect(() => scheduler.add(call)).toThrow(/wait for the offload limit/);
              else {
                scheduler.add(call);
                waiting.push(call);
              }
            } else if (action.kind === 'end') {
              const call = running[action.which % Math.max(1, running.length)];
              if (call === undefined) continue;
              running.splice(running.indexOf(call), 1);
              scheduler.end(call);
            } else {
              const call = waiting[action.which % Math.max(1, waiting.length)];
              if (call === undefined) continue;
              waiting.splice(waiting.indexOf(call), 1);
              expect(scheduler.remove(call)).toBe(true);
              expect(scheduler.remove(call)).toBe(false);
            }
            startAll();
            scheduler.invariants();
            expect(scheduler.running).toBe(running.length);
            expect(scheduler.waiting).toBe(waiting.length);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('lets limits take turns', () => {
    const limits = new Map(['a', 'b'].map((name) => [name, { concurrency: 1, maxQueued: 100 }]));
    const scheduler = new OffloadScheduler<Call & { id: string }>(1, limits);
    for (let i = 0; i < 3; i++) scheduler.add({ limit: 'a', id: `a${i}` });
    scheduler.add({ limit: 'b', id: 'b0' });
    const order: string[] = [];
    for (let call = scheduler.start(); call !== undefined; call = scheduler.start()) {
      order.push(call.id);
      scheduler.end(call);
    }
    expect(order).toEqual(['a0', 'b0', 'a1', 'a2']);
  });

  it('knows its limits by name', () => {
    const scheduler = new OffloadScheduler<Call>(1, new Map());
    expect(() => scheduler.add({ limit: 'x' })).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_UNKNOWN_OFFLOAD_LIMIT' }),
    );
  });
});
