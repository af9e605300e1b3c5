import fc from 'fast-check';
import { test } from 'vitest';
import { expectReached, newReached, transportProperty } from './support/transport-model.ts';

test('connections keep their bytes and their memory in whatever order operations complete, 50,000 runs', async () => {
  const reached = newReached();
  await fc.assert(transportProperty(reached, 200), { numRuns: 50_000 });
  expectReached(reached);
});
