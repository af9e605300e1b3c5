import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { heapArena, MAX_ARENA_BYTES, MIN_ARENA_BYTES } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';
import { createArena, openArena } from '../../src/memory/shared-arena.ts';

const MIB = 1024 * 1024;
const QUIET = { debug: false, largeAllocationBytes: Number.POSITIVE_INFINITY };

describe('createArena', () => {
  it('is page-aligned, zeroed, and seen alike through all views', () => {
    const arena = createArena(3 * MIB);
    expect(arena.sizeBytes).toBe(3 * MIB);
    expect(arena.address % 4096).toBe(0);
    expect(arena.address).toBeGreaterThan(0);
    expect(arena.bytes.length).toBe(3 * MIB);
    expect(arena.bytes.buffer).not.toBeInstanceOf(SharedArrayBuffer);
    expect(arena.bytes.every((byte) => byte === 0)).toBe(true);
    arena.view.setUint32(8, 0x04030201, true);
    expect(arena.int32[2]).toBe(0x04030201);
    expect([...arena.bytes.subarray(8, 12)]).toEqual([1, 2, 3, 4]);
    arena.float64[3] = 0.5;
    expect(arena.view.getFloat64(24, true)).toBe(0.5);
    if (arena.shared === null) throw new Error('the arena is not shared');
    expect(new Uint8Array(arena.shared, 8, 4)).toEqual(new Uint8Array([1, 2, 3, 4]));
    expect(arena.int32.length * 4).toBe(arena.sizeBytes);
    expect(arena.float64.length * 8).toBe(arena.sizeBytes);
  });

  it('is the same memory when it is opened again', () => {
    const arena = createArena(MIB);
    if (arena.shared === null) throw new Error('the arena is not shared');
    const again = openArena(arena.shared);
    expect(again.address).toBe(arena.address);
    again.bytes[MIB - 1] = 7;
    expect(arena.bytes[MIB - 1]).toBe(7);
  });

  it('is the same memory on another thread', async () => {
    const arena = createArena(MIB);
    const source = `
      const { workerData } = require('node:worker_threads');
      new Uint8Array(workerData, 4096, 1)[0] = 99;
    `;
    const worker = new Worker(source, { eval: true, workerData: arena.shared });
    await new Promise((resolve) => worker.once('exit', resolve));
    expect(arena.bytes[4096]).toBe(99);
  });

  it('serves as the memory of a shard', () => {
    const memory = new ShardMemory(createArena(MIB + 5 * 4096), { debug: false });
    const offset = memory.allocate(4096);
    expect((memory.arena.address + offset) % 4096).toBe(0);
    memory.bytes.fill(1, offset, offset + 4096);
    memory.free(offset);
    memory.invariants();
  });

  it('works at its largest, offsets over 2^31 included, and over 2^32 where Node allows it', () => {
    const memory = new ShardMemory(createArena(MAX_ARENA_BYTES, { hugePages: 'never' }), QUIET);
    useWhole(memory);
    expect(memory.maxBlockBytes).toBe(2 ** (Math.ceil(Math.log2(MAX_ARENA_BYTES)) - 1));
  });
});

describe('an arena beyond 4 GiB', () => {
  it('is allocated from like any other, with offsets over 2^32', () => {
    // No Node 20 can make one: here only the bookkeeping is so large, and no byte of the arena is touched.
    const sizeBytes = 16 * 1024 * MIB - 4096;
    const memory = new ShardMemory({ ...heapArena(MIB), sizeBytes }, QUIET);
    useWhole(memory);
    const group = memory.group('high');
    const blocks: number[] = [];
    for (let offset = memory.tryAllocate(2 ** 32); offset >= 0; offset = memory.tryAllocate(2 ** 32))
      blocks.push(offset);
    expect(blocks.sort((a, b) => a - b)).toEqual([0, 2 ** 32, 2 ** 33]);
    const offset = group.allocate(5 * 2 ** 30 - 2 ** 32);
    expect(offset).toBeGreaterThan(2 ** 33);
    expect(group.stats.usedBytes).toBe(2 ** 30);
    for (const bad of [offset + 8, offset - 2 ** 32, offset + 0.5]) {
      expect(() => group.free(bad)).toThrow(expect.objectContaining({ code: 'SUNSTAR_INVALID_FREE' }));
    }
    expect(() => memory.free(2 ** 34)).toThrow(expect.objectContaining({ code: 'SUNSTAR_INVALID_FREE' }));
    memory.shrink(offset, 4096);
    expect(memory.usableSize(offset)).toBe(4096);
    expect(memory.reallocate(offset, 2 ** 29)).toBe(offset);
    group.free(offset);
    for (const block of blocks) memory.free(block);
    expect(memory.stats()).toMatchObject({ liveBlocks: 0, largestFreeBlockBytes: 2 ** 33 });
  });
});

/** Takes all of a memory in large blocks but for the last, then small ones from what is left at the end. */
function useWhole(memory: ShardMemory): void {
  const { sizeBytes } = memory.arena;
  const blocks: number[] = [];
  for (let offset = memory.tryAllocate(2 ** 26); offset >= 0; offset = memory.tryAllocate(2 ** 26)) {
    blocks.push(offset);
  }
  expect(blocks.length).toBe(Math.floor(sizeBytes / 2 ** 26));
  expect(Math.max(...blocks)).toBe((blocks.length - 1) * 2 ** 26);
  const high = memory.allocate(64);
  const page = memory.allocate(4096);
  for (const offset of [high, page]) {
    expect(offset).toBeGreaterThan(sizeBytes - 2 ** 26);
    memory.bytes[offset] = 1;
    memory.free(offset);
    expect(() => memory.free(offset)).toThrow('No live block');
    expect(memory.allocate(offset === high ? 64 : 4096)).toBe(offset);
    expect(memory.usableSize(offset)).toBe(offset === high ? 64 : 4096);
    memory.free(offset);
  }
  for (const offset of blocks) memory.free(offset);
  memory.trimCaches();
  expect(memory.stats()).toMatchObject({ liveBlocks: 0, freeBytes: sizeBytes });
  expect(memory.availability(memory.maxBlockBytes)).toBeCloseTo(memory.maxBlockBytes / sizeBytes);
}

describe('the size and memory of an arena', () => {
  it.each([0, -4096, 4096, MIN_ARENA_BYTES - 4096, MIB + 1, MIB + 0.5, MAX_ARENA_BYTES + 4096, Number.NaN])(
    'may not be %d bytes',
    (sizeBytes) => {
      for (const make of [createArena, heapArena]) {
        expect(() => make(sizeBytes)).toThrow(expect.objectContaining({ code: 'SUNSTAR_INVALID_SIZE' }));
      }
    },
  );

  it('must start on a page', () => {
    // A plain SharedArrayBuffer is aligned by chance only: look for one that is not.
    for (let attempt = 0; attempt < 64; attempt++) {
      const shared = new SharedArrayBuffer(MIB);
      try {
        openArena(shared);
      } catch (error) {
        expect(error).toMatchObject({ code: 'SUNSTAR_ARENA_UNALIGNED' });
        return;
      }
    }
    throw new Error('every SharedArrayBuffer was aligned');
  });

  it('on the JavaScript heap needs no addon', () => {
    const arena = heapArena(MIB);
    expect(arena.shared).toBeNull();
    expect(arena.address % 4096).toBe(0);
    expect(arena.bytes.length).toBe(MIB);
  });
});
