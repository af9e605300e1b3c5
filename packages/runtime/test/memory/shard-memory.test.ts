import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryOf, memoryProperty, sizes } from './memory-property.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
}

describe.each([false, true])('ShardMemory, debug %s', (debug) => {
  it('keeps live blocks disjoint, in bounds, aligned and untouched; the counters add up', () => {
    fc.assert(memoryProperty(debug), { numRuns: debug ? 40 : 80 });
  });

  it('serves every size up to the largest block', () => {
    const memory = memoryOf(4 * MIB, debug);
    for (let sizeBytes = 1; sizeBytes <= 4 * MIB; sizeBytes = Math.ceil(sizeBytes * 1.07)) {
      const offset = memory.allocate(sizeBytes);
      expect(memory.usableSize(offset)).toBeGreaterThanOrEqual(sizeBytes);
      memory.free(offset);
    }
    expect(memory.maxBlockBytes).toBe(4 * MIB);
    expect(memory.stats()).toMatchObject({ liveBlocks: 0, usedBytes: 0, failedAllocations: 0 });
  });

  it('gives a block that was used up back to later requests of another size', () => {
    const memory = memoryOf(MIB, debug);
    // Debug mode records a stack for every block.
    const small = debug ? 800 : 128;
    for (const sizeBytes of [small, 4 * KIB, 1000, 64 * KIB, 3000, small]) {
      const offsets: number[] = [];
      for (let offset = memory.tryAllocate(sizeBytes); offset >= 0; offset = memory.tryAllocate(sizeBytes)) {
        offsets.push(offset);
      }
      // Everything was given out: nothing of the size is left, and no more is lost than the span tails.
      expect(memory.availability(sizeBytes)).toBe(0);
      expect(memory.stats().usedBytes).toBeGreaterThan(0.94 * MIB);
      for (const offset of offsets) memory.free(offset);
    }
    memory.trimCaches();
    expect(memory.stats().largestFreeBlockBytes).toBe(MIB);
  });

  it('rejects sizes that are none', () => {
    const memory = memoryOf(MIB, debug);
    // With something in the magazines, so that the short way is taken where it is open.
    for (const size of [8, 64, 4096]) memory.free(memory.allocate(size));
    const bad = [
      0,
      -1,
      -0,
      0.5,
      7.5,
      63.5,
      4095.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      2 ** 53,
      -(2 ** 31),
    ];
    for (const size of bad) {
      for (const action of [
        () => memory.allocate(size),
        () => memory.tryAllocate(size),
        () => memory.allocateAligned(size, 8),
        () => memory.availability(size),
      ]) {
        expect(codeOf(action)).toBe('SUNSTAR_INVALID_SIZE');
      }
    }
    for (const size of ['64', null, undefined, {}] as unknown as number[]) {
      expect(codeOf(() => memory.allocate(size))).toBe('SUNSTAR_INVALID_SIZE');
    }
    memory.invariants();
  });

  it('rejects alignments that are no power of two', () => {
    const memory = memoryOf(MIB, debug);
    for (const alignment of [0, -8, 3, 0.5, 24, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(codeOf(() => memory.allocateAligned(64, alignment))).toBe('SUNSTAR_INVALID_ALIGNMENT');
    }
    expect(codeOf(() => memory.allocateAligned(64, 2 * MIB))).toBe('SUNSTAR_OUT_OF_MEMORY');
  });

  it('rejects every free that is not of a live block, and changes nothing', () => {
    const memory = memoryOf(MIB, debug);
    const small = memory.allocate(64);
    const page = memory.allocate(4 * KIB);
    const large = memory.allocate(128 * KIB);
    const freed = [64, 1000, 4 * KIB, 5 * KIB, 128 * KIB, 256 * KIB].map((size) => memory.allocate(size));
    for (const offset of freed) memory.free(offset);
    const before = memory.stats();
    const bad = [
      ...freed,
      small + 8,
      small + 1,
      page + 8,
      page + 2 * KIB,
      large + 4 * KIB,
      large + 64 * KIB,
      MIB,
      MIB + 4096,
      -8,
      -1,
      0.5,
      small + 0.5,
      2 ** 32 + small,
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ];
    for (const offset of bad) expect(codeOf(() => memory.free(offset))).toBe('SUNSTAR_INVALID_FREE');
    for (const offset of bad) {
      expect(codeOf(() => memory.usableSize(offset))).toBe('SUNSTAR_INVALID_OFFSET');
      expect(codeOf(() => memory.shrink(offset, 8))).toBe('SUNSTAR_INVALID_OFFSET');
    }
    expect(memory.stats()).toEqual(before);
    memory.invariants();
    for (const offset of [small, page, large]) memory.free(offset);
    for (const offset of [small, page, large]) {
      expect(codeOf(() => memory.free(offset))).toBe('SUNSTAR_INVALID_FREE');
    }
    memory.invariants();
  });

  it('shrinks in place', () => {
    const memory = memoryOf(MIB, debug);
    const offset = memory.allocate(512 * KIB);
    memory.bytes.write('kept', offset);
    memory.shrink(offset, 70 * KIB);
    expect(memory.usableSize(offset)).toBe(debug ? 70 * KIB : 128 * KIB);
    memory.shrink(offset, 4);
    expect(memory.usableSize(offset)).toBe(debug ? 4 : 4 * KIB);
    expect(memory.bytes.toString('latin1', offset, offset + 4)).toBe('kept');
    expect(memory.stats().freeBytes).toBe(MIB - 4 * KIB);
    expect(codeOf(() => memory.shrink(offset, 4097))).toBe('SUNSTAR_INVALID_SIZE');
    const object = memory.allocate(1000);
    memory.shrink(object, 10);
    expect(memory.usableSize(object)).toBe(debug ? 10 : 1024);
    memory.invariants();
    memory.free(offset);
    memory.free(object);
    memory.trimCaches();
    expect(memory.stats().largestFreeBlockBytes).toBe(MIB);
  });
});

describe('ShardMemory.availability', () => {
  it('is 1 when all free memory is one block, and says how much of the rest is usable', () => {
    const memory = memoryOf(MIB);
    expect(memory.availability(MIB)).toBe(1);
    expect(memory.availability(MIB + 1)).toBe(0);
    const pages: number[] = [];
    for (let page = memory.tryAllocate(4096); page >= 0; page = memory.tryAllocate(4096)) pages.push(page);
    expect(memory.availability(1)).toBe(0);
    pages.sort((a, b) => a - b);
    // Every other page of the lower half, and all of the upper half.
    for (const [index, page] of pages.entries()) if (index >= 128 || index % 2 === 0) memory.free(page);
    memory.trimCaches();
    expect(memory.availability(4096)).toBe(1);
    expect(memory.availability(8192)).toBeCloseTo(128 / 192);
    expect(memory.availability(512 * KIB)).toBeCloseTo(128 / 192);
    expect(memory.availability(512 * KIB + 1)).toBe(0);
    expect(memory.availability(3000)).toBe(1);
  });

  it('is 0 exactly when an allocation fails', () => {
    fc.assert(
      fc.property(fc.array(sizes, { minLength: 1, maxLength: 300 }), sizes, fc.nat(), (fill, size, seed) => {
        const memory = memoryOf(300 * 4096);
        const offsets = fill
          .map((sizeBytes) => memory.tryAllocate(sizeBytes))
          .filter((offset) => offset >= 0);
        for (const [index, offset] of offsets.entries())
          if ((index * 7 + seed) % 3 === 0) memory.free(offset);
        memory.trimCaches();
        const share = memory.availability(size);
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(1);
        expect(memory.tryAllocate(size) >= 0).toBe(share > 0);
      }),
      { numRuns: 100 },
    );
  });
});
