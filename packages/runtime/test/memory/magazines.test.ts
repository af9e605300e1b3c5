import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Magazines } from '../../src/memory/magazines.ts';

const CAPACITIES = [0, 1, 3, 500] as const;
const LIMITS = [0, 1, 3, 240] as const;

const step = fc.record({
  kind: fc.constantFrom('push', 'push', 'pop', 'drop'),
  sizeClass: fc.integer({ min: 0, max: 3 }),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe('Magazines', () => {
  it('behaves as one stack per class', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const magazines = new Magazines(CAPACITIES);
        const stacks: number[][] = CAPACITIES.map(() => []);
        for (const [index, { kind, sizeClass, share }] of steps.entries()) {
          const stack = stacks[sizeClass];
          if (kind === 'push') {
            const fits = stack.length < LIMITS[sizeClass];
            expect(magazines.push(sizeClass, index)).toBe(fits);
            if (fits) stack.push(index);
          } else if (kind === 'pop') {
            expect(magazines.pop(sizeClass)).toBe(stack.pop() ?? -1);
          } else {
            const count = Math.floor(share * (stack.length + 0.99));
            magazines.dropOldest(sizeClass, count);
            stack.splice(0, count);
          }
          magazines.invariants();
          for (const [other, blocks] of stacks.entries()) {
            expect(magazines.depth(other)).toBe(blocks.length);
            expect(blocks.map((_, at) => magazines.at(other, at))).toEqual(blocks);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('limits the capacity to the size of a strip', () => {
    expect(CAPACITIES.map((_, sizeClass) => new Magazines(CAPACITIES).capacity(sizeClass))).toEqual(LIMITS);
  });
});
