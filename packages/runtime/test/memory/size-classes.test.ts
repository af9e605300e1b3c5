import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FIRST_POOL_CLASS,
  MAX_CACHED_BYTES,
  orderFor,
  PAGE_BYTES,
  POOL_LIMIT_BYTES,
  SizeClasses,
} from '../../src/memory/size-classes.ts';

const classes = new SizeClasses(256 * 1024 * 1024);

function largestPowerOfTwoIn(value: number): number {
  let power = 1;
  while (value % (power * 2) === 0) power *= 2;
  return power;
}

const poolClasses = Array.from(
  { length: classes.firstRun - FIRST_POOL_CLASS },
  (_, index) => FIRST_POOL_CLASS + index,
);

describe('SizeClasses', () => {
  it('has four sizes per power of two, the powers of two from a page on being buddy blocks', () => {
    const bytes = poolClasses.map((pool) => classes.bytes[pool]);
    expect(bytes.slice(0, 16)).toEqual([8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256]);
    expect(bytes.slice(-6)).toEqual([20480, 24576, 28672, 40960, 49152, 57344]);
    expect(bytes.every((size) => size % 8 === 0 && size < POOL_LIMIT_BYTES)).toBe(true);
    for (const size of [4096, 8192, 16384, 32768, 65536]) expect(bytes).not.toContain(size);
  });

  it('serves a size by the smallest class that holds it', () => {
    const sizes = [...classes.bytes.subarray(0, classes.firstRun)].sort((a, b) => a - b);
    for (let size = 1; size <= MAX_CACHED_BYTES; size++) {
      const expected = sizes.find((bytes) => bytes >= size);
      if (classes.bytes[classes.of(size)] !== expected) throw new Error(`size ${size}`);
    }
  });

  it('wastes at most a quarter on small sizes, and less than half otherwise', () => {
    fc.assert(
      fc.property(fc.integer({ min: 33, max: 2 ** 31 }), (size) => {
        const bytes = classes.bytes[classes.of(size)];
        expect(bytes).toBeGreaterThanOrEqual(size);
        expect(bytes).toBeLessThan(size < 49152 ? size * 1.25 : Math.max(size * 2, PAGE_BYTES));
      }),
    );
  });

  it('chooses short spans with less than 2 % waste, of at least four small objects', () => {
    for (const pool of poolClasses) {
      const spanBytes = PAGE_BYTES * classes.spanPages[pool];
      const objects = classes.spanObjects[pool];
      expect(objects).toBe(Math.floor(spanBytes / classes.bytes[pool]));
      expect(spanBytes).toBeLessThanOrEqual(128 * 1024);
      expect(1 - (objects * classes.bytes[pool]) / spanBytes).toBeLessThan(0.02);
      if (classes.bytes[pool] < 8192) expect(objects).toBeGreaterThanOrEqual(4);
    }
  });

  it('aligns every object to the largest power of two that divides its size', () => {
    for (const pool of poolClasses) {
      const bytes = classes.bytes[pool];
      const alignment = largestPowerOfTwoIn(bytes);
      expect((PAGE_BYTES * 2 ** classes.spanAlignment[pool]) % alignment).toBe(0);
      expect(classes.granules[pool] * 8).toBe(bytes);
    }
  });

  it('has a class for every run of pages up to 128 KiB', () => {
    for (let pages = 1; pages <= 32; pages++) {
      expect(classes.bytes[classes.firstRun + pages - 1]).toBe(pages * PAGE_BYTES);
    }
    expect(classes.count).toBe(classes.firstRun + 32);
    for (let size = 1; size <= MAX_CACHED_BYTES; size += 97)
      expect(classes.of(size)).toBeLessThan(classes.firstRun);
  });

  it('keeps spans small in a small arena, and every class possible', () => {
    const small = new SizeClasses(1024 * 1024);
    for (const pool of poolClasses) {
      expect(PAGE_BYTES * small.spanPages[pool]).toBeLessThanOrEqual(64 * 1024);
      expect(small.spanObjects[pool]).toBeGreaterThan(0);
    }
  });

  it('finds the order of a size', () => {
    expect([1, 4096, 4097, 8192, 8193, 2 ** 31, 2 ** 31 + 1].map(orderFor)).toEqual([0, 0, 1, 1, 2, 19, 20]);
  });
});
