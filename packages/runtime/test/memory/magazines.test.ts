import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Magazines } from '../../src/memory/magazines.ts';

const CAPACITIES = [0, 1, 3, 500] as const;
const LIMITS = [0, 1, 3, 240] as const;

/**
 * What the magazines promise: per class the newest block comes back first, never more than the capacity is
 * held, not counting the block that was pushed last.
 */
class Model {
  readonly stacks: number[][] = CAPACITIES.map(() => []);
  newestClass = -1;

  push(sizeClass: number, block: number): boolean {
    if (LIMITS[sizeClass] === 0) return false;
    if (this.newestClass >= 0 && this.stacks[this.newestClass].length > LIMITS[this.newestClass])
      return false;
    this.stacks[sizeClass].push(block);
    this.newestClass = sizeClass;
    return true;
  }

  pop(sizeClass: number): number {
    if (this.newestClass === sizeClass) this.newestClass = -1;
    return this.stacks[sizeClass].pop() ?? -1;
  }

  dropOldest(sizeClass: number, count: number): void {
    this.stacks[sizeClass].splice(0, count);
    if (this.newestClass === sizeClass && this.stacks[sizeClass].length === 0) this.newestClass = -1;
  }
}

const step = fc.record({
  kind: fc.constantFrom('push', 'push', 'pop', 'drop', 'fill'),
  sizeClass: fc.integer({ min: 0, max: 3 }),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe('Magazines', () => {
  it('behaves as one stack per class', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const magazines = new Magazines(CAPACITIES);
        const model = new Model();
        for (const [index, { kind, sizeClass, share }] of steps.entries()) {
          const stack = model.stacks[sizeClass];
          if (kind === 'push') {
            expect(magazines.push(sizeClass, index)).toBe(model.push(sizeClass, index));
          } else if (kind === 'pop') {
            expect(magazines.pop(sizeClass)).toBe(model.pop(sizeClass));
          } else if (kind === 'drop') {
            const count = Math.floor(share * (stack.length + 0.99));
            magazines.dropOldest(sizeClass, count);
            model.dropOldest(sizeClass, count);
          } else if (stack.length < LIMITS[sizeClass]) {
            magazines.fill(sizeClass, index);
            // Below the newest block of all, if that is of this class.
            if (model.newestClass === sizeClass) stack.splice(-1, 0, index);
            else stack.push(index);
          }
          magazines.invariants();
          expect(magazines.newestClass).toBe(model.newestClass);
          for (const [other, blocks] of model.stacks.entries()) {
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
