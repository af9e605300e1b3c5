import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { SunstarError } from '../../src/errors.ts';
import { heapArena } from '../../src/memory/arena.ts';
import type { MemoryConfiguration } from '../../src/memory/memory-options.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const warnings: SunstarError[] = [];

function memoryOf(options: MemoryConfiguration = {}): ShardMemory {
  warnings.length = 0;
  return new ShardMemory(heapArena(4 * MIB), {
    debug: false,
    onWarning: (warning) => warnings.push(warning),
    ...options,
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

/** Waits until the event loop has done what it was given. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(1);
}

describe('reclaimers', () => {
  it('are asked by priority, then in the order of their registration', () => {
    const memory = memoryOf({ lowWaterBytes: 0 });
    const calls: string[] = [];
    const add = (name: string, priority = 0): (() => void) =>
      memory.addReclaimer(
        () => {
          calls.push(name);
          return 0;
        },
        { name, priority },
      );
    add('middle');
    add('last', -5);
    add('first', 10);
    const remove = add('middle too', 0);
    memory.allocate(4 * MIB);
    expect(memory.tryAllocate(8)).toBe(-1);
    expect(calls).toEqual(['first', 'middle', 'middle too', 'last']);
    remove();
    expect(memory.reclaimers.map(({ name, calls: count }) => [name, count])).toEqual([
      ['first', 1],
      ['middle', 1],
      ['last', 1],
    ]);
  });

  it('are checked', () => {
    const memory = memoryOf();
    expect(codeOf(() => memory.addReclaimer(() => 0, { priority: Number.NaN }))).toBe(
      'SUNSTAR_INVALID_OPTION',
    );
    expect(codeOf(() => memory.addReclaimer(undefined as unknown as () => number))).toBe(
      'SUNSTAR_INVALID_ARGUMENT',
    );
    for (let index = 0; index < 1000; index++) memory.addReclaimer(() => 0);
    expect(codeOf(() => memory.addReclaimer(() => 0))).toBe('SUNSTAR_TOO_MANY_RECLAIMERS');
  });
});

describe('background reclaim', () => {
  it('starts below the low-water mark, asks those that wait last, and stops at one and a half times as much', async () => {
    const memory = memoryOf({ lowWaterBytes: MIB });
    const cache: number[] = [];
    const calls: string[] = [];
    const evict = (needBytes: number, most: number): number => {
      let freed = 0;
      while (freed < Math.min(needBytes, most) && cache.length > 0) {
        memory.free(cache.pop() ?? -1);
        freed += 4 * KIB;
      }
      return freed;
    };
    memory.addAsyncReclaimer(
      async (needBytes) => {
        calls.push('waits');
        await delay(1);
        return evict(needBytes, Number.POSITIVE_INFINITY);
      },
      { priority: 10, name: 'flush' },
    );
    memory.addReclaimer(
      (needBytes) => {
        calls.push('at once');
        return evict(needBytes, 64 * KIB);
      },
      { name: 'evict' },
    );
    for (let index = 0; index < 800; index++) cache.push(memory.allocate(4 * KIB));
    expect(calls).toEqual([]);
    await until(() => memory.stats().freeBytes >= 1.5 * MIB);
    await delay(1);
    expect(calls).toEqual(['at once', 'waits']);
    expect(memory.stats().backgroundReclaims).toBe(1);
    expect(memory.reclaimers).toMatchObject([
      { name: 'flush', asynchronous: true, calls: 1, failures: 0 },
      { name: 'evict', asynchronous: false, calls: 1, reclaimedBytes: 64 * KIB },
    ]);
    memory.invariants();
  });

  it('gives up for a while when nothing helps, and goes on past one that fails', async () => {
    const memory = memoryOf({ lowWaterBytes: MIB });
    let calls = 0;
    memory.addReclaimer(
      () => {
        throw new RangeError('broken');
      },
      { name: 'broken' },
    );
    memory.addAsyncReclaimer(() => Promise.reject(new Error('broken too')), { name: 'rejects' });
    memory.addAsyncReclaimer(() => {
      calls++;
      return Promise.resolve(1e9);
    });
    for (let index = 0; index < 900; index++) memory.allocate(4 * KIB);
    await until(() => calls === 1);
    for (let index = 0; index < 20; index++) {
      memory.allocate(4 * KIB);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(calls).toBe(1);
    expect(warnings.map(({ code }) => code)).toEqual(['SUNSTAR_RECLAIM_FAILED', 'SUNSTAR_RECLAIM_FAILED']);
    expect(warnings[0].message).toContain("'broken'");
    expect(warnings[1].cause).toMatchObject({ message: 'broken too' });
    expect(memory.reclaimers.map(({ failures }) => failures)).toEqual([1, 1, 0]);
  });

  it('runs after an allocation has failed, for the next one', async () => {
    const memory = memoryOf({ lowWaterBytes: 0 });
    const all = memory.allocate(4 * MIB);
    let asked = 0;
    memory.addAsyncReclaimer((needBytes) => {
      asked = needBytes;
      memory.free(all);
      return Promise.resolve(needBytes);
    });
    expect(memory.tryAllocate(100_000)).toBe(-1);
    await until(() => asked > 0);
    expect(asked).toBeGreaterThanOrEqual(100_000);
    expect(memory.tryAllocate(100_000)).toBeGreaterThanOrEqual(0);
  });
});

describe('the large-allocation warning', () => {
  it('rises by 1.618 each time, and names the place', () => {
    const memory = memoryOf({ largeAllocationBytes: 128 * KIB + 1 });
    const group = memory.group('blobs');
    memory.free(memory.allocate(128 * KIB));
    for (let index = 0; index < 10; index++) memory.free(group.allocate(200 * KIB));
    // 128 KiB, then 207 KiB.
    expect(warnings.length).toBe(1);
    expect(warnings[0].code).toBe('SUNSTAR_LARGE_ALLOCATION');
    expect(warnings[0].message).toContain("204800 bytes) was asked for in the group 'blobs'");
    expect(warnings[0].stack).toMatch(/\n\s+at .*reclaimers\.test/);
    for (let index = 0; index < 10; index++) memory.free(memory.allocate(MIB));
    // 207, 335, 542, 878 KiB; then 1.4 MiB is not reached.
    expect(warnings.length).toBe(5);
    expect(memory.stats().largeAllocations).toBe(5);
    memory.configure({ largeAllocationBytes: Number.POSITIVE_INFINITY });
    memory.free(memory.allocate(4 * MIB));
    expect(warnings.length).toBe(5);
  });

  it('checks its configuration', () => {
    const memory = memoryOf();
    for (const change of [
      { largeAllocationBytes: 0 },
      { largeAllocationBytes: Number.NaN },
      { lowWaterBytes: -1 },
      { lowWaterBytes: Number.POSITIVE_INFINITY },
      { onOutOfMemory: 'ignore' },
      { onWarning: 5 },
    ] as unknown as MemoryConfiguration[]) {
      expect(codeOf(() => memory.configure(change))).toBe('SUNSTAR_INVALID_OPTION');
    }
  });
});
