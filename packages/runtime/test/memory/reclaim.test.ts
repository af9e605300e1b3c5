import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutOfMemoryError } from '../../src/errors.ts';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function exhausted(sizeBytes: number): { memory: ShardMemory; blocks: number[] } {
  const memory = new ShardMemory(heapArena(MIB), { debug: false });
  const blocks: number[] = [];
  for (let offset = memory.tryAllocate(sizeBytes); offset >= 0; offset = memory.tryAllocate(sizeBytes)) {
    blocks.push(offset);
  }
  return { memory, blocks };
}

describe('ShardMemory without memory', () => {
  it('says how much was asked for and how much is free', () => {
    const { memory, blocks } = exhausted(4096);
    memory.free(blocks[3]);
    memory.free(blocks[77]);
    let caught: unknown;
    try {
      memory.allocate(100_000);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(OutOfMemoryError);
    expect(caught).toMatchObject({ requestedBytes: 100_000, freeBytes: 8192, code: 'SUNSTAR_OUT_OF_MEMORY' });
    expect(memory.stats().failedAllocations).toBe(2);
  });

  it('serves small objects from whole pages when no span can be had', () => {
    const { memory, blocks } = exhausted(4096);
    memory.free(blocks[10]);
    // A span of 5 KiB objects has several pages; of 320-byte objects two.
    const offset = memory.allocate(320);
    expect(memory.usableSize(offset)).toBe(4096);
    memory.invariants();
    memory.free(offset);
    memory.invariants();
    expect(memory.allocate(4096)).toBe(blocks[10]);
  });

  it('merges what the magazines hold before it fails', () => {
    const { memory, blocks } = exhausted(64);
    for (const block of blocks) memory.free(block);
    expect(memory.stats().cachedBytes).toBeGreaterThan(0);
    expect(memory.allocate(MIB)).toBe(0);
  });
});

describe('ShardMemory.addReclaimer', () => {
  it('asks in order, until the allocation succeeds', () => {
    const { memory, blocks } = exhausted(64 * KIB);
    const calls: string[] = [];
    const evict = (name: string) => (needBytes: number) => {
      calls.push(`${name} ${needBytes}`);
      const block = blocks.pop();
      if (block === undefined) return 0;
      memory.free(block);
      return 64 * KIB;
    };
    memory.addReclaimer(evict('first'));
    memory.addReclaimer(evict('second'));
    memory.allocate(50 * KIB);
    expect(calls).toEqual(['first 57344']);
    memory.allocate(100 * KIB);
    // Blocks were handed out in some order; two neighbours are needed.
    expect(calls.length).toBeGreaterThanOrEqual(3);
    expect(calls.slice(1)).toEqual(
      calls.slice(1).map((_, at) => `${at % 2 === 0 ? 'first' : 'second'} 131072`),
    );
    expect(memory.stats().reclaims).toBe(2);
    memory.invariants();
  });

  it('is not asked for what can never fit', () => {
    const memory = new ShardMemory(heapArena(MIB + 512 * KIB), { debug: false });
    let calls = 0;
    memory.addReclaimer(() => ++calls);
    expect(memory.maxBlockBytes).toBe(MIB);
    expect(() => memory.allocate(MIB + 1)).toThrow(OutOfMemoryError);
    expect(() => memory.allocate(2 ** 40)).toThrow(OutOfMemoryError);
    expect(memory.tryAllocate(2 * MIB)).toBe(-1);
    expect(calls).toBe(0);
    expect(memory.stats()).toMatchObject({ failedAllocations: 3, reclaims: 0 });
  });

  it('stops when a round frees nothing, whatever the reclaimers claim', () => {
    const { memory } = exhausted(64 * KIB);
    let calls = 0;
    memory.addReclaimer(() => {
      calls++;
      return 1e9;
    });
    expect(memory.tryAllocate(64)).toBe(-1);
    expect(calls).toBe(1);
  });

  it('may be entered again: an allocation in a reclaimer does not reclaim', () => {
    const { memory, blocks } = exhausted(64 * KIB);
    let depth = 0;
    let nested = 0;
    memory.addReclaimer((needBytes) => {
      expect(++depth).toBe(1);
      expect(memory.tryAllocate(needBytes)).toBe(-1);
      expect(() => memory.allocate(needBytes)).toThrow(OutOfMemoryError);
      nested++;
      memory.free(blocks[0]);
      const scratch = memory.allocate(8);
      memory.free(scratch);
      depth--;
      return 64 * KIB;
    });
    expect(memory.allocate(64 * KIB)).toBe(blocks[0]);
    expect(nested).toBe(1);
    expect(memory.stats().reclaims).toBe(1);
  });

  it('passes on what a reclaimer throws, and reclaims again afterwards', () => {
    const { memory, blocks } = exhausted(64 * KIB);
    const remove = memory.addReclaimer(() => {
      throw new RangeError('cache is broken');
    });
    expect(() => memory.tryAllocate(64)).toThrow('cache is broken');
    memory.invariants();
    remove();
    memory.addReclaimer(() => {
      memory.free(blocks[5]);
      return 64 * KIB;
    });
    expect(memory.allocate(64 * KIB)).toBe(blocks[5]);
  });

  it('can be removed, and removed again', () => {
    const { memory } = exhausted(64 * KIB);
    let calls = 0;
    const remove = memory.addReclaimer(() => ++calls);
    remove();
    remove();
    expect(memory.tryAllocate(64)).toBe(-1);
    expect(calls).toBe(0);
  });

  it('always ends, with caches that give back and take again', () => {
    const behaviour = fc.record({
      frees: fc.integer({ min: 0, max: 3 }),
      takes: fc.integer({ min: 0, max: 4 }),
    });
    fc.assert(
      fc.property(
        fc.array(behaviour, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(64, 4096, 131072),
        (caches, size) => {
          const { memory, blocks } = exhausted(16 * KIB);
          for (const { frees, takes } of caches) {
            memory.addReclaimer(() => {
              for (let time = 0; time < frees; time++) {
                const block = blocks.pop();
                if (block !== undefined) memory.free(block);
              }
              for (let time = 0; time < takes; time++) {
                const block = memory.tryAllocate(16 * KIB);
                if (block >= 0) blocks.push(block);
              }
              return frees;
            });
          }
          const offset = memory.tryAllocate(size);
          memory.invariants();
          expect(offset >= 0 || memory.availability(size) === 0).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});
