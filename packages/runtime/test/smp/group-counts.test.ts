import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MAX_GROUPS } from '../../src/scheduling/groups.ts';
import { GroupCounts } from '../../src/smp/group-counts.ts';

it('counts by group, the default one what the others leave', () => {
  const group = fc.constantFrom(0, 1, 2, MAX_GROUPS - 1);
  fc.assert(
    fc.property(fc.array(fc.tuple(group, fc.nat(40))), (steps) => {
      const counts = new GroupCounts();
      const model = new Map<number, number>();
      let total = 0;
      for (const [id, count] of steps) {
        if (id !== 0) counts.add(id, count);
        model.set(id, (model.get(id) ?? 0) + count);
        total += count;
      }
      for (const id of [0, 1, 2, MAX_GROUPS - 1]) expect(counts.of(id, total)).toBe(model.get(id) ?? 0);
    }),
  );
});
