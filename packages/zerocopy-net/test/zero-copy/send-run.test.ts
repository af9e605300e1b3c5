import { IOBuf } from '@sunstar/iobuf';
import { createArena, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyCount, measureRun, type SendRun, shortenRun } from '../../src/zero-copy/send-run.ts';

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
  expect(measure([100, 20], 1000)).toEqual({ count: 2, sizeBytes: 0, isLarge: false });
  expect(measure([1000], 1000)).toEqual({ count: 1, sizeBytes: 1000, isLarge: true });
  expect(measure([999], 1000)).toEqual({ count: 1, sizeBytes: 0, isLarge: false });
  expect(measure([100, 5000, 20], 1000)).toEqual({ count: 3, sizeBytes: 5120, isLarge: true });
  expect(measure([100, 100, 5000], 1000)).toEqual({ count: 2, sizeBytes: 0, isLarge: false });
  expect(measure([1000, 120, 120, 120, 5000], 1000)).toEqual({ count: 3, sizeBytes: 1240, isLarge: true });
  expect(measure([5000, 5000, 5000], 1000, 2)).toEqual({ count: 2, sizeBytes: 10_000, isLarge: true });
});

test('pieces of an eighth of the threshold count together, smaller ones do not', () => {
  expect(measure(Array<number>(8).fill(125), 1000)).toEqual({ count: 8, sizeBytes: 1000, isLarge: true });
  expect(measure(Array<number>(7).fill(125), 1000)).toMatchObject({ isLarge: false });
  expect(measure(Array<number>(100).fill(124), 1000)).toMatchObject({ isLarge: false });
});

test('a send is never much longer than is good, but one piece always goes', () => {
  expect(measure([200_000, 100_000], 1000)).toEqual({ count: 1, sizeBytes: 200_000, isLarge: true });
  expect(measure([300_000, 1], 1000)).toEqual({ count: 1, sizeBytes: 300_000, isLarge: true });
  using buffer = content([200_000, 60_000, 60_000]);
  expect(copyCount(buffer, 100)).toBe(2);
  expect(copyCount(buffer, 1)).toBe(1);
  expect(copyCount(buffer, 100, 320_000)).toBe(3);
  expect(copyCount(buffer, 100, 319_999)).toBe(2);
});

test('runs take every byte once, in order, and only a large run has enough in large pieces', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 8000 }),
      fc.integer({ min: 1, max: 10 }),
      (sizes, thresholdBytes, maxCount) => {
        let rest = sizes;
        while (rest.length > 0) {
          const run = measure(rest, thresholdBytes, maxCount);
          expect(run.count).toBeGreaterThan(0);
          expect(run.count).toBeLessThanOrEqual(maxCount);
          const taken = rest.slice(0, run.count);
          if (run.isLarge) expect(run.sizeBytes).toBe(taken.reduce((a, b) => a + b));
          const sum = (large: boolean): number =>
            taken.filter((size) => size >= thresholdBytes / 8 === large).reduce((a, b) => a + b, 0);
          const isHopeless =
            rest.length > 2 && rest.reduce((a, b) => a + b) < (rest.length * thresholdBytes) / 16;
          expect(run.isLarge).toBe(!isHopeless && sum(true) >= thresholdBytes);
          if (run.isLarge)
            expect(sum(false)).toBeLessThanOrEqual(Math.max(thresholdBytes / 8, sum(true) / 4));
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
