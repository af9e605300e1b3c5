import fc from 'fast-check';
import { describe, it } from 'vitest';
import { memoryProperty } from './memory-property.ts';

// Debug mode fills and compares every byte, and takes several times as long.
describe.each([
  [false, 10_000],
  [true, 2_000],
])('ShardMemory at length, debug %s', (debug, runs) => {
  it(`keeps its properties in ${runs} runs`, () => {
    fc.assert(memoryProperty(debug), { numRuns: runs });
  });
});
