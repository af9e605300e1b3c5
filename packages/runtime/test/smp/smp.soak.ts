import { describe, it } from 'vitest';
import { storm } from './storm.ts';
import { runThreads, type ThreadOptions } from './threads.ts';

describe('Rings and wake-ups', () => {
  it('of two shards lose nothing in more than a minute', async () => {
    for (let seed = 1; seed <= 4; seed++) await storm(2, 20_000, seed);
  });

  it('of more shards than cores lose nothing', async () => {
    await storm(4, 20_000, 99);
  });

  it('on bare threads lose nothing in more than a minute', async () => {
    const endMs = performance.now() + 65_000;
    const cases: ThreadOptions[] = [
      { shards: 2, slots: 128, operations: 20_000, outstandingMax: 1, sleepy: true, largestBytes: 200 },
      { shards: 2, slots: 2, operations: 40_000, outstandingMax: 40, sleepy: true, largestBytes: 3000 },
      { shards: 2, slots: 128, operations: 40_000, outstandingMax: 64, sleepy: false, largestBytes: 20_000 },
    ];
    for (let round = 0; performance.now() < endMs; round++) await runThreads(cases[round % cases.length]);
  });
});
