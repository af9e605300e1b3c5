import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AtOnceList } from '../../src/reactor/at-once.ts';

/** Positive: so many are added; otherwise so many are taken. */
const steps = fc.array(fc.integer({ min: -200, max: 200 }), { maxLength: 60 });

it('a list of operations that are over at once gives ids and results in their order', () => {
  fc.assert(
    fc.property(steps, (changes) => {
      const list = new AtOnceList();
      const model: number[] = [];
      let next = 0;
      for (const change of changes) {
        for (let i = 0; i < change; i++) {
          list.add(next, next * 3);
          model.push(next++);
        }
        for (let i = change; i < 0 && model.length > 0; i++) {
          const id = model.shift() as number;
          expect([list.id, list.result]).toEqual([id, id * 3]);
          list.shift();
        }
        expect(list.count).toBe(model.length);
      }
    }),
  );
});
