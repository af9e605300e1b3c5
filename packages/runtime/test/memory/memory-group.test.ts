import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutOfMemoryError } from '../../src/errors.ts';
import { heapArena } from '../../src/memory/arena.ts';
import { MemoryGroup } from '../../src/memory/memory-group.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function memoryOf(sizeBytes: number, debug = false): ShardMemory {
  return new ShardMemory(heapArena(sizeBytes), {
    debug,
    lowWaterBytes: 0,
    largeAllocationBytes: Number.POSITIVE_INFINITY,
  });
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
}

const sizes = fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 150 * KIB }));
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom('allocate', 'allocate', 'allocate', 'free', 'freeByMemory', 'shrink', 'reallocate'),
    group: fc.integer({ min: 0, max: 3 }),
    sizeBytes: sizes,
    times: fc.integer({ min: 1, max: 25 }),
    pick: fc.nat(),
  }),
  { maxLength: 40 },
);

describe.each([false, true])('memory groups, debug %s', (debug) => {
  it('are charged exactly what their blocks have, whatever is done with them', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (sequence, profiled) => {
        const memory = memoryOf(4 * MIB, debug);
        if (profiled) memory.startHeapProfile(10 * KIB);
        const groups = [
          memory.group('a', { limit: MIB }),
          memory.group('b', { limit: 300_000, reservation: 200_000 }),
          memory.group('c'),
        ];
        const live: { offset: number; group: number }[] = [];
        for (const { kind, group, sizeBytes, times, pick } of sequence) {
          for (let time = 0; time < times; time++) {
            if (kind === 'allocate') {
              const offset = (groups[group] ?? memory).tryAllocate(sizeBytes);
              if (offset >= 0) live.push({ offset, group });
              continue;
            }
            if (live.length === 0) continue;
            const index = (pick + time) % live.length;
            const block = live[index];
            if (kind === 'shrink') {
              const size = Math.min(sizeBytes, memory.usableSize(block.offset));
              memory.shrink(block.offset, size);
            } else if (kind === 'reallocate') {
              try {
                block.offset = memory.reallocate(block.offset, sizeBytes);
              } catch (error) {
                expect(error).toBeInstanceOf(OutOfMemoryError);
              }
            } else {
              live.splice(index, 1);
              (kind === 'free' ? (groups[block.group] ?? memory) : memory).free(block.offset);
            }
          }
          // Checks that the accounts agree with the blocks, and that no limit is exceeded.
          memory.invariants();
        }
        for (const { offset } of live) memory.free(offset);
        for (const group of groups) {
          expect(group.stats.usedBytes).toBe(0);
          expect(group.stats.allocations).toBe(group.stats.frees);
          group.close();
        }
        memory.trimCaches();
        memory.invariants();
        const { allocations, frees, freeBytes } = memory.stats();
        expect(allocations).toBe(frees);
        expect(freeBytes).toBe(4 * MIB);
      }),
      { numRuns: 40 },
    );
  });

  it('fail alone', () => {
    const memory = memoryOf(4 * MIB, debug);
    const group = memory.group('uploads', { limit: '256KiB' });
    const other = memory.group('other');
    const blocks: number[] = [];
    for (let offset = group.tryAllocate(4096); offset >= 0; offset = group.tryAllocate(4096))
      blocks.push(offset);
    expect(group.stats.usedBytes).toBeLessThanOrEqual(256 * KIB);
    // In debug mode redzones count too, in the first half of the budget.
    expect(blocks.length).toBe(debug ? 48 : 64);
    let caught: unknown;
    try {
      group.allocate(4096);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(OutOfMemoryError);
    expect(caught).toMatchObject({
      requestedBytes: 4096,
      message: expect.stringContaining("'uploads'") as string,
    });
    memory.free(other.allocate(100_000));
    memory.free(memory.allocate(MIB));
    group.free(blocks[0]);
    blocks[0] = group.allocate(4096);
    group.configure({ limit: '512KiB' });
    blocks.push(group.allocate(4096));
    expect(group.stats).toMatchObject({ name: 'uploads', failedAllocations: 2, limitBytes: 512 * KIB });
    for (const offset of blocks) memory.free(offset);
    expect(group.stats.peakBytes).toBe(260 * KIB);
  });

  it('refuse blocks of others', () => {
    const memory = memoryOf(4 * MIB, debug);
    const [a, b] = [memory.group('a'), memory.group('b')];
    const ofA = a.allocate(100);
    const ofNobody = memory.allocate(100);
    expect(codeOf(() => b.free(ofA))).toBe('SUNSTAR_INVALID_FREE');
    expect(codeOf(() => a.free(ofNobody))).toBe('SUNSTAR_INVALID_FREE');
    for (const bad of [ofA + 8, -8, 0.5, Number.NaN, 2 ** 33])
      expect(codeOf(() => a.free(bad))).toBe('SUNSTAR_INVALID_FREE');
    for (const bad of [0, -5, 1.5, Number.NaN])
      expect(codeOf(() => a.allocate(bad))).toBe('SUNSTAR_INVALID_SIZE');
    expect(codeOf(() => a.allocateAligned(10, 3))).toBe('SUNSTAR_INVALID_ALIGNMENT');
    const aligned = a.allocateAligned(100, 512);
    expect(aligned % 512).toBe(0);
    a.free(aligned);
    a.free(ofA);
    expect(codeOf(() => a.free(ofA))).toBe('SUNSTAR_INVALID_FREE');
    memory.invariants();
  });
});

describe('the reservation of a memory group', () => {
  it('is there when everybody else has taken everything', () => {
    const memory = memoryOf(4 * MIB);
    const group = memory.group('commit log', { reservation: MIB });
    const others: number[] = [];
    for (let offset = memory.tryAllocate(4096); offset >= 0; offset = memory.tryAllocate(4096))
      others.push(offset);
    expect(others.length).toBe(3 * 256);
    expect(() => memory.allocate(4096)).toThrow('reserved for memory groups');
    const mine: number[] = [];
    for (let offset = group.tryAllocate(4096); offset >= 0; offset = group.tryAllocate(4096))
      mine.push(offset);
    expect(mine.length).toBe(256);
    // Beyond it the group competes with all others.
    memory.free(others.pop() ?? -1);
    mine.push(group.allocate(4096));
    // What it frees below its reservation is kept for it again.
    group.free(mine.pop() ?? -1);
    memory.trimCaches();
    others.push(memory.allocate(4096));
    group.free(mine.pop() ?? -1);
    expect(memory.tryAllocate(4096)).toBe(-1);
    mine.push(group.allocate(4096));
    memory.invariants();
  });

  it('is refused when it is not free, and free again when the group ends', () => {
    const memory = memoryOf(4 * MIB);
    const block = memory.allocate(2 * MIB);
    memory.group('a', { reservation: MIB });
    expect(() => memory.group('b', { reservation: MIB + 8 })).toThrow(OutOfMemoryError);
    const b = memory.group('b', { reservation: MIB });
    expect(memory.tryAllocate(4096)).toBe(-1);
    b.close();
    b.close();
    expect(memory.groups.map(({ name }) => name)).toEqual(['a']);
    expect(memory.tryAllocate(4096)).toBeGreaterThanOrEqual(0);
    expect(codeOf(() => b.allocate(8))).toBe('SUNSTAR_GROUP_CLOSED');
    memory.free(block);
  });
});

describe('ShardMemory.group', () => {
  it('checks what it is given', () => {
    const memory = memoryOf(MIB);
    const group = memory.group('a');
    expect(codeOf(() => memory.group('a'))).toBe('SUNSTAR_GROUP_EXISTS');
    expect(codeOf(() => memory.group(''))).toBe('SUNSTAR_INVALID_OPTION');
    expect(codeOf(() => memory.group('b', { limit: 0 }))).toBe('SUNSTAR_INVALID_OPTION');
    expect(codeOf(() => memory.group('b', { limit: 'much' }))).toBe('SUNSTAR_INVALID_SIZE');
    expect(codeOf(() => memory.group('b', { limit: 10, reservation: 11 }))).toBe('SUNSTAR_INVALID_OPTION');
    const block = group.allocate(10);
    expect(codeOf(() => group.close())).toBe('SUNSTAR_GROUP_IN_USE');
    group.free(block);
    for (let index = 1; index < MemoryGroup.MAX_GROUPS; index++) memory.group(`group ${index}`);
    expect(codeOf(() => memory.group('one more'))).toBe('SUNSTAR_TOO_MANY_GROUPS');
  });

  it('asks the reclaimers of the group when it has reached its limit, and only those', () => {
    const memory = memoryOf(4 * MIB);
    const cache = memory.group('cache', { limit: 64 * KIB });
    const blocks: number[] = [];
    const calls: string[] = [];
    memory.addReclaimer(() => {
      calls.push('shard');
      return 0;
    });
    cache.addReclaimer((needBytes) => {
      calls.push(`cache ${needBytes}`);
      const block = blocks.shift();
      if (block !== undefined) memory.free(block);
      return 0;
    });
    for (let index = 0; index < 20; index++) blocks.push(cache.allocate(8 * KIB));
    expect(calls).toEqual(new Array<string>(12).fill('cache 8192'));
    expect(cache.stats).toMatchObject({ usedBytes: 64 * KIB, failedAllocations: 0, reclaims: 12 });
    expect(memory.stats().reclaims).toBe(12);
    expect(codeOf(() => cache.allocate(65 * KIB))).toBe('SUNSTAR_OUT_OF_MEMORY');
    expect(calls.length).toBe(12);
    for (const block of blocks) cache.free(block);
    cache.close();
    expect(memory.reclaimers.length).toBe(1);
  });
});
