import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LiveMap } from '../../src/memory/live-map.ts';

const SIZE = 200;

describe('LiveMap', () => {
  it('behaves as a set of granules', () => {
    const step = fc.record({ add: fc.boolean(), granule: fc.integer({ min: 0, max: SIZE + 100 }) });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const map = new LiveMap(SIZE);
        const model = new Set<number>();
        for (const { add, granule } of steps) {
          expect(map.has(granule)).toBe(model.has(granule));
          if (!add) expect(map.delete(granule)).toBe(model.delete(granule));
          else if (granule < SIZE) {
            map.add(granule);
            model.add(granule);
          }
        }
        expect([...map.values()]).toEqual([...model].sort((a, b) => a - b));
      }),
    );
  });
});
