import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function memoryOf(sizeBytes: number, debug = false): ShardMemory {
  return new ShardMemory(heapArena(sizeBytes), { debug, largeAllocationBytes: Number.POSITIVE_INFINITY });
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
}

const sizes = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 1, max: 200 * KIB }),
  fc.constantFrom(64, 4 * KIB, 64 * KIB, 128 * KIB, 256 * KIB),
);

describe.each([false, true])('ShardMemory.reallocate, debug %s', (debug) => {
  it('keeps the contents and everybody else’s', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), sizes, fc.boolean()), { maxLength: 60 }), (steps) => {
        const memory = memoryOf(2 * MIB, debug);
        const live: { offset: number; sizeBytes: number; seed: number }[] = [];
        for (const [pick, sizeBytes, grow] of steps) {
          const block = live[pick % Math.max(1, live.length)];
          if (block === undefined || !grow) {
            const offset = memory.tryAllocate(sizeBytes);
            if (offset < 0) continue;
            live.push({ offset, sizeBytes, seed: live.length % 251 });
            memory.bytes.fill(live.length - 1, offset, offset + sizeBytes);
            live[live.length - 1].seed = (live.length - 1) % 256;
          } else {
            try {
              block.offset = memory.reallocate(block.offset, sizeBytes);
            } catch (error) {
              expect(error).toHaveProperty('code', 'SUNSTAR_OUT_OF_MEMORY');
              continue;
            }
            expect(memory.usableSize(block.offset)).toBeGreaterThanOrEqual(sizeBytes);
            const kept = Math.min(block.sizeBytes, sizeBytes);
            memory.bytes.fill(block.seed, block.offset + kept, block.offset + sizeBytes);
            block.sizeBytes = sizeBytes;
          }
          for (const { offset, sizeBytes: length, seed } of live) {
            expect(memory.bytes.subarray(offset, offset + length).every((byte) => byte === seed)).toBe(true);
          }
          memory.invariants();
        }
        for (const { offset } of live) memory.free(offset);
        memory.trimCaches();
        memory.invariants();
        expect(memory.stats()).toMatchObject({ liveBlocks: 0, largestFreeBlockBytes: 2 * MIB });
      }),
      { numRuns: 40 },
    );
  });

  it('rejects bad offsets and sizes', () => {
    const memory = memoryOf(MIB, debug);
    const offset = memory.allocate(100);
    for (const size of [0, -1, 1.5, Number.NaN, 2 ** 60])
      expect(codeOf(() => memory.reallocate(offset, size))).toBe('SUNSTAR_INVALID_SIZE');
    for (const bad of [offset + 8, -8, 0.5, MIB, Number.NaN])
      expect(codeOf(() => memory.reallocate(bad, 10))).toBe('SUNSTAR_INVALID_OFFSET');
    expect(codeOf(() => memory.reallocate(offset, 2 * MIB))).toBe('SUNSTAR_OUT_OF_MEMORY');
    memory.free(offset);
  });
});

describe('ShardMemory.reallocate', () => {
  it('grows in place when the neighbours are free', () => {
    const memory = memoryOf(MIB);
    const offset = memory.allocate(4 * KIB);
    for (const size of [8, 16, 64, 65, 128, 129, 512, 1024]) {
      expect(memory.reallocate(offset, size * KIB)).toBe(offset);
      memory.invariants();
    }
    expect(memory.stats().freeBytes).toBe(0);
    expect(memory.reallocate(offset, 1000)).toBe(offset);
    expect(memory.usableSize(offset)).toBe(4 * KIB);
  });

  it('moves when it must, and then frees the old place', () => {
    const memory = memoryOf(MIB);
    const small = memory.allocate(100);
    const large = memory.reallocate(small, 10_000);
    expect(large).not.toBe(small);
    expect(codeOf(() => memory.free(small))).toBe('SUNSTAR_INVALID_FREE');
    // More than half of an object would be idle.
    expect(memory.reallocate(large, 9000)).toBe(large);
    expect(memory.reallocate(large, 500)).not.toBe(large);
    expect(memory.stats().liveBlocks).toBe(1);
  });

  it('leaves the block alone when there is no memory', () => {
    const memory = memoryOf(MIB);
    const blocks: number[] = [];
    for (let offset = memory.tryAllocate(4096); offset >= 0; offset = memory.tryAllocate(4096))
      blocks.push(offset);
    memory.bytes[blocks[7]] = 77;
    expect(codeOf(() => memory.reallocate(blocks[7], 5000))).toBe('SUNSTAR_OUT_OF_MEMORY');
    expect(memory.bytes[blocks[7]]).toBe(77);
    expect(memory.usableSize(blocks[7])).toBe(4096);
    memory.invariants();
  });
});
