import fc from 'fast-check';
import { expect } from 'vitest';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';
import { MemoryModel } from './memory-model.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const arenaPages = fc.constantFrom(256, 257, 300, 511, 512, 1000);
export const sizes: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 1, max: 70 * KIB }),
  fc.constantFrom(64, 4 * KIB, 16 * KIB, 64 * KIB, 128 * KIB, 129 * KIB, 512 * KIB, MIB, 5 * MIB),
);
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom('allocate', 'allocate', 'allocate', 'aligned', 'free', 'free', 'shrink', 'trim'),
    sizeBytes: sizes,
    alignmentPower: fc.integer({ min: 0, max: 17 }),
    times: fc.integer({ min: 1, max: 40 }),
    pick: fc.nat(),
  }),
  { maxLength: 30 },
);

export function memoryOf(sizeBytes: number, debug = false): ShardMemory {
  return new ShardMemory(heapArena(sizeBytes), { debug, largeAllocationBytes: Number.POSITIVE_INFINITY });
}

/** Live blocks are disjoint, in bounds, aligned and untouched, the counters add up, and freeing all restores the start. */
export function memoryProperty(debug: boolean): fc.IPropertyWithHooks<unknown> {
  return fc.property(arenaPages, steps, (pages, sequence) => {
    const memory = memoryOf(pages * 4096, debug);
    const initial = memory.stats();
    const model = new MemoryModel(memory);
    for (const { kind, sizeBytes, alignmentPower, times, pick } of sequence) {
      for (let time = 0; time < times; time++) {
        if (kind === 'allocate') model.allocated(memory.tryAllocate(sizeBytes), sizeBytes, 1);
        else if (kind === 'free') model.free(pick + time);
        else if (kind === 'shrink') model.shrink(pick, sizeBytes);
        else if (kind === 'trim') memory.trimCaches();
        else {
          const alignment = 2 ** alignmentPower;
          if (sizeBytes > 100 * KIB) continue;
          try {
            model.allocated(memory.allocateAligned(sizeBytes, alignment), sizeBytes, alignment);
          } catch (error) {
            expect(error).toHaveProperty('code', 'SUNSTAR_OUT_OF_MEMORY');
          }
        }
        const stats = memory.stats();
        expect(stats.usedBytes + stats.freeBytes + stats.wasteBytes).toBe(stats.totalBytes);
        // Redzones count as used.
        if (debug) expect(stats.usedBytes).toBeGreaterThanOrEqual(model.usedBytes);
        else expect(stats.usedBytes).toBe(model.usedBytes);
        expect(stats.liveBlocks).toBe(model.liveBlocks);
      }
      memory.invariants();
    }
    model.verifyAll();
    model.freeAll();
    memory.trimCaches();
    memory.invariants();
    const { allocations, frees, failedAllocations: _, ...space } = memory.stats();
    expect(allocations).toBe(frees);
    expect(initial).toMatchObject(space);
    expect(memory.availability(memory.maxBlockBytes)).toBe(memory.maxBlockBytes / (pages * 4096));
  });
}
