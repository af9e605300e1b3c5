import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Completion } from '../../src/reactor/completion.js';
import { MAX_OPERATIONS, OperationTable } from '../../src/reactor/operation-table.js';

const nobody: Completion = { complete() {} };

describe('OperationTable', () => {
  it('finds every operation by its id, and no ended one, in any order of starts and ends', () => {
    const steps = fc.array(fc.oneof(fc.constant('add' as const), fc.nat(5000)), { maxLength: 4000 });
    fc.assert(
      fc.property(steps, (actions) => {
        const table = new OperationTable();
        const live = new Map<number, { completion: Completion; tag: number }>();
        const ended: number[] = [];
        for (const action of actions) {
          if (action === 'add') {
            const completion: Completion = { complete() {} };
            const tag = live.size % 4;
            const id = table.add(completion, tag, 0);
            expect(live.has(id)).toBe(false);
            expect(id).toBeGreaterThanOrEqual(0);
            expect(id).toBeLessThan(2 ** 30);
            live.set(id, { completion, tag });
          } else if (live.size > 0) {
            const id = [...live.keys()][action % live.size];
            table.remove(id);
            live.delete(id);
            ended.push(id);
          }
        }
        for (const [id, { completion, tag }] of live) {
          expect(table.has(id)).toBe(true);
          expect(table.get(id)).toBe(completion);
          expect(table.tagOf(id)).toBe(tag);
        }
        for (const id of ended.slice(-100)) expect(table.has(id)).toBe(live.has(id));
        expect(table.size).toBe(live.size);
        table.invariants();
      }),
      { numRuns: 60 },
    );
  });

  it('takes as many as its limit and refuses one more by name', () => {
    const table = new OperationTable();
    for (let i = 0; i < MAX_OPERATIONS; i++) table.add(nobody, 0, 0);
    expect(() => table.add(nobody, 0, 0)).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_TOO_MANY_OPERATIONS' }),
    );
    table.remove(5);
    expect(table.add(nobody, 0, 0) & (MAX_OPERATIONS - 1)).toBe(5);
  });

  it('tells an operation from its successor in the same slot', () => {
    const table = new OperationTable();
    const first = table.add(nobody, 0, 0);
    table.remove(first);
    const second = table.add(nobody, 0, 0);
    expect(second).not.toBe(first);
    expect(table.has(first)).toBe(false);
    expect(table.has(second)).toBe(true);
  });
});
