import { describe, expect, it } from 'vitest';
import { formatSize, parseSize } from '../src/size.js';

describe('parseSize', () => {
  it.each([
    ['4GiB', 4 * 2 ** 30],
    ['512 MB', 512 * 2 ** 20],
    ['64k', 65536],
    ['1.5m', 1.5 * 2 ** 20],
    ['17', 17],
    [4096, 4096],
    [10.9, 10],
  ])('reads %s', (size, sizeBytes) => {
    expect(parseSize(size)).toBe(sizeBytes);
  });

  it.each(['', 'GiB', '4 gigs', '-1', '1e9', Number.NaN, -1, Number.POSITIVE_INFINITY])(
    'refuses %s',
    (size) => {
      expect(() => parseSize(size)).toThrow(expect.objectContaining({ code: 'SUNSTAR_INVALID_SIZE' }));
    },
  );
});

describe('formatSize', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536 * 1024, '1.5 MiB'],
    [4 * 2 ** 30, '4 GiB'],
  ])('writes %i as %s', (sizeBytes, text) => {
    expect(formatSize(sizeBytes)).toBe(text);
  });
});
