import { describe, expect, it } from 'vitest';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';

const MIB = 1024 * 1024;
const POISON = 0xdb;
const REDZONE = 0xfa;

function debugMemory(): ShardMemory {
  return new ShardMemory(heapArena(MIB), { debug: true });
}

function allocateHere(memory: ShardMemory, sizeBytes: number): number {
  return memory.allocate(sizeBytes);
}

function freeHere(memory: ShardMemory, offset: number): void {
  memory.free(offset);
}

function errorOf(action: () => unknown): { code: string; message: string } {
  try {
    action();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('nothing was thrown');
}

describe('debug mode', () => {
  it('poisons what is freed, and what is given out for the first time', () => {
    const memory = debugMemory();
    for (const sizeBytes of [8, 100, 4096, 40_000, 300_000]) {
      const offset = memory.allocate(sizeBytes);
      const block = memory.bytes.subarray(offset, offset + memory.usableSize(offset));
      expect(block.every((byte) => byte === POISON)).toBe(true);
      block.fill(1);
      memory.free(offset);
      expect(block.every((byte) => byte === POISON)).toBe(true);
    }
    memory.invariants();
  });

  it('poisons the tail that a block gives up', () => {
    const memory = debugMemory();
    const offset = memory.allocate(65536);
    memory.bytes.fill(1, offset, offset + 65536);
    memory.shrink(offset, 5000);
    expect(memory.bytes.subarray(offset, offset + 5000).every((byte) => byte === 1)).toBe(true);
    expect(memory.bytes.subarray(offset + 5000, offset + 8192).every((byte) => byte === REDZONE)).toBe(true);
    expect(memory.bytes.subarray(offset + 8192, offset + 65536).every((byte) => byte === POISON)).toBe(true);
    expect(memory.leaks()).toMatchObject([{ offset, sizeBytes: 5000 }]);
  });

  it.each([8, 64, 1000, 4096, 50_000, 131_072])('finds a write to a freed block of %i bytes', (sizeBytes) => {
    const memory = debugMemory();
    const neighbour = memory.allocate(sizeBytes);
    const offset = allocateHere(memory, sizeBytes);
    const last = offset + memory.usableSize(offset) - 1;
    freeHere(memory, offset);
    memory.bytes[last] = 0;
    let found: { code: string; message: string } | undefined;
    for (let attempt = 0; attempt < 100_000 && found === undefined; attempt++) {
      try {
        if (memory.tryAllocate(sizeBytes) < 0) break;
      } catch (error) {
        found = error as { code: string; message: string };
      }
    }
    expect(found?.code).toBe('SUNSTAR_USE_AFTER_FREE');
    expect(found?.message).toContain('freeHere');
    expect(found?.message).toContain(`Byte ${last - offset} `);
    // The damage is repaired, and the block is not lost.
    memory.invariants();
    memory.free(neighbour);
    const again = Array.from({ length: 600 }, () => memory.tryAllocate(sizeBytes));
    expect(again).toContain(offset);
    memory.invariants();
  });

  it.each([1, 8, 63, 64, 1000, 4096, 5000, 50_000, 65_536, 131_072])(
    'finds a write behind a block of %i bytes',
    (sizeBytes) => {
      const memory = debugMemory();
      const offset = allocateHere(memory, sizeBytes);
      expect(memory.usableSize(offset)).toBe(sizeBytes);
      for (const distance of [0, 1, 15]) {
        memory.bytes[offset + sizeBytes + distance] = 1;
        const error = errorOf(() => memory.free(offset));
        expect(error.code).toBe('SUNSTAR_BUFFER_OVERRUN');
        expect(error.message).toContain(
          `Byte ${sizeBytes + distance} of the block at offset ${offset} was written`,
        );
        expect(error.message).toContain('allocateHere');
      }
      memory.bytes[offset + sizeBytes] = 1;
      expect(errorOf(() => memory.shrink(offset, 1)).code).toBe('SUNSTAR_BUFFER_OVERRUN');
      // The damage is repaired, and the block is still live.
      memory.invariants();
      memory.free(offset);
      expect(memory.stats().liveBlocks).toBe(0);
    },
  );

  it('goes without a redzone when there is no room for one', () => {
    const memory = debugMemory();
    const half = memory.allocate(512 * 1024);
    const sizes = [65_536, 131_072, 262_144].map((size) => memory.allocate(size));
    expect(memory.stats().freeBytes).toBe(65_536);
    for (const offset of [half, ...sizes]) memory.free(offset);
    expect(memory.allocate(MIB)).toBe(0);
    expect(memory.usableSize(0)).toBe(MIB);
    memory.free(0);
  });

  it('moves every block that is reallocated, so that stale offsets are found', () => {
    const memory = debugMemory();
    const offset = memory.allocate(100);
    memory.bytes.fill(7, offset, offset + 100);
    const moved = memory.reallocate(offset, 90);
    expect(moved).not.toBe(offset);
    expect(memory.bytes.subarray(moved, moved + 90).every((byte) => byte === 7)).toBe(true);
    expect(errorOf(() => memory.free(offset)).code).toBe('SUNSTAR_INVALID_FREE');
    memory.free(moved);
  });

  it('says who freed a block that is freed twice', () => {
    const memory = debugMemory();
    const offset = memory.allocate(64);
    freeHere(memory, offset);
    const error = errorOf(() => memory.free(offset));
    expect(error.code).toBe('SUNSTAR_INVALID_FREE');
    expect(error.message).toMatch(/last freed\n\s+at freeHere/);
  });

  it('lists leaks with the stack that allocated them', () => {
    const memory = debugMemory();
    expect(memory.leaks()).toEqual([]);
    const first = allocateHere(memory, 5000);
    const second = memory.allocate(70);
    expect(memory.leaks()).toMatchObject([first, second].sort((a, b) => a - b).map((offset) => ({ offset })));
    const leak = memory.leaks().find(({ offset }) => offset === first);
    expect(leak?.sizeBytes).toBe(5000);
    expect(leak?.stack).toMatch(/^\s+at allocateHere/);
    memory.free(first);
    memory.free(second);
    expect(memory.leaks()).toEqual([]);
  });

  it('is off by default, and then says how to list leaks', () => {
    const memory = new ShardMemory(heapArena(MIB), { debug: false });
    expect(errorOf(() => memory.leaks())).toMatchObject({
      code: 'SUNSTAR_DEBUG_OFF',
      message: expect.stringContaining('SUNSTAR_DEBUG=1') as string,
    });
  });

  it('is switched on by the environment', () => {
    const before = process.env.SUNSTAR_DEBUG;
    process.env.SUNSTAR_DEBUG = '1';
    try {
      expect(new ShardMemory(heapArena(MIB)).leaks()).toEqual([]);
    } finally {
      if (before === undefined) delete process.env.SUNSTAR_DEBUG;
      else process.env.SUNSTAR_DEBUG = before;
    }
  });
});
