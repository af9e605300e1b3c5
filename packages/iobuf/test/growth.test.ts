import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FRAGMENT_SIZE_BYTES_MAX, GROWTH_TABLE, nextCapacity } from '../src/growth.js';
import { IOBuf } from '../src/index.js';
import { MIB, pattern, plainMemory } from './support.js';

test('the next capacity is the first entry strictly above what is needed, capped at the last', () => {
  fc.assert(
    fc.property(fc.nat(300000), (above) => {
      const capacity = nextCapacity(above);
      expect(GROWTH_TABLE).toContain(capacity);
      if (above < FRAGMENT_SIZE_BYTES_MAX) expect(capacity).toBeGreaterThan(above);
      for (const entry of GROWTH_TABLE) expect(entry > above && entry < capacity).toBe(false);
    }),
  );
});

test('the entries are sizes that the allocator gives out without rounding', () => {
  const memory = plainMemory();
  for (const entry of GROWTH_TABLE) {
    const offset = memory.allocate(entry);
    expect(memory.usableSize(offset)).toBe(entry <= 16384 || Number.isInteger(Math.log2(entry)) ? entry : 0);
    memory.free(offset);
  }
});

test('a first append fits into the smallest fragment that leaves room', () => {
  const memory = plainMemory();
  const capacityFor = (length: number): number => {
    using buffer = IOBuf.from(pattern(length), memory);
    expect(buffer.fragmentCount).toBe(1);
    return memory.stats().usedBytes;
  };
  expect(capacityFor(1)).toBe(512);
  expect(capacityFor(511)).toBe(512);
  expect(capacityFor(512)).toBe(768);
  expect(capacityFor(768)).toBe(1280);
  expect(capacityFor(1280)).toBe(1792);
  expect(capacityFor(131072)).toBe(131072);
  expect(memory.stats().liveBlocks).toBe(0);
});

test('40,000 buffers of 1 KiB, appended one after the other, make exactly 323 fragments', () => {
  const memory = plainMemory(64 * MIB);
  using kibibyte = IOBuf.from(pattern(1024), memory);
  using buffer = new IOBuf(memory);
  // The first is larger than the 512 bytes assumed of an empty buffer, so it is linked; the rest is copied.
  for (let i = 0; i < 40_000; i++) buffer.appendIOBuf(kibibyte);
  expect(buffer.sizeBytes).toBe(40_000 * 1024);
  expect(buffer.fragmentCount).toBe(323);
  expect(buffer.fragmentLength(0)).toBe(1024);
  for (let i = 1; i < 11; i++) expect(buffer.fragmentLength(i)).toBe(GROWTH_TABLE[i + 1]);
  for (let i = 11; i < 322; i++) expect(buffer.fragmentLength(i)).toBe(FRAGMENT_SIZE_BYTES_MAX);
});

test('40,000 plain appends of 1 KiB make 322 fragments: all are copied, also the first', () => {
  const memory = plainMemory(64 * MIB);
  const kibibyte = pattern(1024);
  using buffer = new IOBuf(memory);
  for (let i = 0; i < 40_000; i++) buffer.append(kibibyte);
  expect(buffer.fragmentCount).toBe(322);
  expect(buffer.fragmentLength(0)).toBe(1280);
});
