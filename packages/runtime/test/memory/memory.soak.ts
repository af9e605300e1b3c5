import fc from 'fast-check';
import { describe, it } from 'vitest';
import { memoryProperty } from './memory-property.ts';

describe.each([false, true])('ShardMemory at length, debug %s', (debug) => {
  it('keeps its properties in 10,000 runs', () => {
    fc.assert(memoryProperty(debug), { numRuns: 10_000 });
  });
});
