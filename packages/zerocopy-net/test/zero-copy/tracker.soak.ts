import fc from 'fast-check';
import { expect, test } from 'vitest';
import { trackerProperty } from './tracker-model.ts';

test('the zero-copy tracker behaves like a set, 20,000 runs', () => {
  const reached = { maxCapacity: 0 };
  fc.assert(trackerProperty(300, reached), { numRuns: 20_000 });
  expect(reached.maxCapacity).toBeGreaterThanOrEqual(256);
});
