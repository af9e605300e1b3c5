import { expect, test } from 'vitest';
import { mayHaveHugePages } from '../../src/zero-copy/huge-page-mapping.ts';

function mapping(start: number, end: number, hugeKiB: number, isEligible: 0 | 1): string {
  return [
    `${start.toString(16)}-${end.toString(16)} rw-p 00000000 00:00 0 `,
    'Rss:              262144 kB',
    `AnonHugePages:    ${hugeKiB} kB`,
    'ShmemPmdMapped:        0 kB',
    'FilePmdMapped:         0 kB',
    `THPeligible:           ${isEligible}`,
  ].join('\n');
}

test('the mapping of the address is looked at, and no other', () => {
  const smaps = [mapping(0x1000, 0x2000, 2048, 1), mapping(0x7f0000000000, 0x7f0000400000, 0, 0)].join('\n');
  expect(mayHaveHugePages(0x1800, smaps)).toBe(true);
  expect(mayHaveHugePages(0x2000, smaps)).toBe(false);
  expect(mayHaveHugePages(0x7f0000000000, smaps)).toBe(false);
});

test('huge pages that may come count as those that are there', () => {
  expect(mayHaveHugePages(0x1000, mapping(0x1000, 0x2000, 0, 1))).toBe(true);
  expect(mayHaveHugePages(0x1000, mapping(0x1000, 0x2000, 4096, 0))).toBe(true);
});

test('the memory of this process can be asked for', () => {
  expect(typeof mayHaveHugePages(0x1000)).toBe('boolean');
});
