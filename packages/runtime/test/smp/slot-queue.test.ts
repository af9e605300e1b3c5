import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlotQueue } from '../../src/smp/slot-queue.ts';

describe('SlotQueue', () => {
  it('is a bounded queue of messages', () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 40 }) }) },
        { weight: 3, arbitrary: fc.record({ shift: fc.integer({ min: 1, max: 40 }) }) },
        { weight: 1, arbitrary: fc.constant({ clear: true as const }) },
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), steps, (limit, sequence) => {
        const queue = new SlotQueue(limit);
        const model: number[] = [];
        const source = new Int32Array(32);
        let next = 1;
        for (const step of sequence) {
          if ('push' in step) {
            for (let count = 0; count < step.push; count++) {
              source.fill(next, 16);
              expect(queue.tryPush(source, 16, 16)).toBe(model.length < limit);
              if (model.length < limit) model.push(next);
              next++;
            }
          } else if ('shift' in step) {
            for (let count = Math.min(step.shift, model.length); count > 0; count--) {
              const value = model.shift();
              expect(queue.words[queue.first]).toBe(value);
              expect(queue.words[queue.first + 15]).toBe(value);
              queue.shift();
            }
          } else {
            queue.clear();
            model.length = 0;
          }
          expect(queue.length).toBe(model.length);
          queue.invariants();
        }
      }),
    );
  });
});
