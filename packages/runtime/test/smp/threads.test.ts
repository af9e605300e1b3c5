import { describe, it } from 'vitest';
import { runThreads, type ThreadOptions } from './threads.ts';

describe('Mesh on threads', () => {
  const cases: [string, ThreadOptions][] = [
    [
      'that sleep whenever they can, one call at a time',
      { shards: 2, slots: 128, operations: 4000, outstandingMax: 1, sleepy: true, largestBytes: 200 },
    ],
    [
      'that sleep, with rings that are nearly always full',
      { shards: 2, slots: 2, operations: 8000, outstandingMax: 40, sleepy: true, largestBytes: 3000 },
    ],
    [
      'that never sleep, with large payloads',
      { shards: 2, slots: 128, operations: 8000, outstandingMax: 64, sleepy: false, largestBytes: 20_000 },
    ],
    [
      'of which there are more than cores',
      { shards: 3, slots: 8, operations: 3000, outstandingMax: 16, sleepy: true, largestBytes: 1000 },
    ],
  ];
  it.each(cases)('loses no message, no wake-up and no block between threads %s', async (_, options) => {
    await runThreads(options);
  });
});
