import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PendingCalls } from '../../src/smp/pending-calls.ts';

type Step = { add: number } | { take: number } | { takeAll: number };

describe('PendingCalls', () => {
  it('is a map from ids to calls, in which no id is good twice', () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 5, arbitrary: fc.record({ add: fc.integer({ min: 0, max: 3 }) }) },
        { weight: 4, arbitrary: fc.record({ take: fc.nat() }) },
        { weight: 1, arbitrary: fc.record({ takeAll: fc.integer({ min: 0, max: 3 }) }) },
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), steps, (limit, sequence: Step[]) => {
        const calls = new PendingCalls(limit);
        const model = new Map<number, { shard: number; resolve: () => void; target: number }>();
        const gone: number[] = [];
        for (const step of sequence) {
          expect(calls.full).toBe(model.size >= limit);
          if ('add' in step) {
            if (model.size >= limit) continue;
            const call = { shard: step.add, resolve: () => {}, target: model.size * 65_536 + 7 };
            const id = calls.add(call.resolve, call.shard, call.target);
            expect(id).toBeGreaterThanOrEqual(0);
            expect(model.has(id)).toBe(false);
            expect(gone).not.toContain(id);
            model.set(id, call);
          } else if ('take' in step) {
            const ids = [...model.keys()];
            const id = ids[step.take % Math.max(1, ids.length)];
            const call = model.get(id);
            if (call === undefined) continue;
            expect(calls.target(id)).toBe(call.target);
            expect(calls.take(id, call.shard + 1)).toBeUndefined();
            expect(calls.take(id, call.shard)).toBe(call.resolve);
            model.delete(id);
            gone.push(id);
          } else {
            const settled: unknown[] = [];
            calls.takeAll(step.takeAll, (resolve, target) => settled.push(resolve, target));
            const expected: unknown[] = [];
            for (const [id, call] of model) {
              if (call.shard !== step.takeAll) continue;
              model.delete(id);
              gone.push(id);
              expected.push(call.resolve, call.target);
            }
            expect(new Set(settled)).toEqual(new Set(expected));
          }
          for (const id of gone.slice(-20)) {
            for (let shard = 0; shard < 4; shard++) expect(calls.take(id, shard)).toBeUndefined();
          }
          expect(calls.size).toBe(model.size);
          calls.invariants();
        }
      }),
    );
  });

  it('knows nothing of ids that it never gave', () => {
    const calls = new PendingCalls();
    expect(calls.take(0, 0)).toBeUndefined();
    expect(calls.take(123_456_789, 0)).toBeUndefined();
  });
});
