import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReadyQueue } from '../../src/scheduling/ready-queue.ts';

interface Item {
  readonly isTask: boolean;
  readonly id: number;
  readonly result: number;
  readonly flags: number;
}

test('a ready queue gives back what it was given, in order', () => {
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  const item = fc.record({ isTask: fc.boolean(), id: word, result: word, flags: word });
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.array(item, { minLength: 1, maxLength: 100 }) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 100 }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const queue = new ReadyQueue();
      const model: (Item & { task: { complete(): void } | null })[] = [];
      for (const one of steps) {
        if (typeof one === 'number') {
          for (let i = 0; i < one && model.length > 0; i++) {
            queue.take();
            const expected = model.shift();
            expect(queue.task).toBe(expected?.task);
            expect([queue.result, queue.flags]).toEqual([expected?.result, expected?.flags]);
            if (expected?.isTask === false) expect(queue.operationId).toBe(expected.id);
          }
        } else {
          for (const added of one) {
            const task = added.isTask ? { complete() {} } : null;
            model.push({ ...added, task });
            if (task !== null) queue.pushTask(task, added.result, added.flags);
            else queue.pushCompletion(added.id, added.result, added.flags);
          }
        }
        expect(queue.size).toBe(model.length);
        queue.invariants();
      }
    }),
    { numRuns: 300 },
  );
});
