import { IOBuf } from '@sunstar/iobuf';
import { createArena, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { measureRun, type SendRun, shortenRun } from '../../src/zero-copy/send-run.ts';

const memory = new ShardMemory(createArena(8 * 1024 * 1024));

/** A buffer with fragments of exactly these sizes. */
function content(sizes: readonly number[]): IOBuf {
  const buffer = new IOBuf(memory);
  for (const size of sizes) buffer.wrap(new Uint8Array(size));
  return buffer;
}

function measure(sizes: readonly number[], thresholdBytes: number, maxCount = 100): SendRun {
  const run = { count: -1, sizeBytes: -1, isLarge: false };
  using buffer = content(sizes);
  measureRun(buffer, thresholdBytes, maxCount, run);
  return run;
}

test('small pieces are copied, large ones are not, a header goes along with its payload', () => {
  expect(measure([100, 200], 1000)).toEqual({ count: 2, sizeBytes: 300, isLarge: false });
  expect(measure([1000], 1000)).toEqual({ count: 1, sizeBytes: 1000, isLarge: true });
  expect(measure([100, 5000, 20], 1000)).toEqual({ count: 3, sizeBytes: 5120, isLarge: true });
  expect(measure([600, 5000], 1000)).toEqual({ count: 1, sizeBytes: 600, isLarge: false });
  expect(measure([5000, 300, 300, 5000], 1000)).toEqual({ count: 2, sizeBytes: 5300, isLarge: true });
  expect(measure([5000, 5000, 5000], 1000, 2)).toEqual({ count: 2, sizeBytes: 10_000, isLarge: true });
});

test('runs take every byte once, in order, and only a large run has a large piece', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 2000 }),
      fc.integer({ min: 1, max: 10 }),
      (sizes, thresholdBytes, maxCount) => {
        let rest = sizes;
        while (rest.length > 0) {
          const run = measure(rest, thresholdBytes, maxCount);
          expect(run.count).toBeGreaterThan(0);
          expect(run.count).toBeLessThanOrEqual(maxCount);
          const taken = rest.slice(0, run.count);
          expect(run.sizeBytes).toBe(taken.reduce((a, b) => a + b));
          const large = taken.filter((size) => size >= thresholdBytes).length;
          const smallBytes = taken.filter((size) => size < thresholdBytes).reduce((a, b) => a + b, 0);
          expect(run.isLarge).toBe(large > 0);
          if (run.isLarge) expect(smallBytes).toBeLessThanOrEqual((thresholdBytes / 2) * large);
          rest = rest.slice(run.count);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a shortened run has whole pieces, as many as fit', () => {
  using buffer = content([100, 200, 300]);
  for (const [maxBytes, count, sizeBytes] of [
    [1000, 3, 600],
    [600, 3, 600],
    [599, 2, 300],
    [100, 1, 100],
    [99, 0, 0],
  ]) {
    const run = { count: 3, sizeBytes: 600, isLarge: true };
    shortenRun(buffer, maxBytes, run);
    expect(run).toMatchObject({ count, sizeBytes });
  }
});
