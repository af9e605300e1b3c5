import { heapArena, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HASH_WORD, HashTable, wordOf } from '../../src/store/hash-table.js';
import { NONE, StoreMemory } from '../../src/store/store-memory.js';

const SEGMENT_BYTES = 16 * 1024;

interface Fixture {
  readonly memory: ShardMemory;
  readonly storeMemory: StoreMemory;
  readonly table: HashTable;
  add(hash: number): number;
  remove(entry: number): void;
  /** Takes everything apart and checks that no memory is left. */
  finish(): void;
}

function fixture(maxBytes = Number.POSITIVE_INFINITY): Fixture {
  const memory = new ShardMemory(heapArena(8 * 1024 * 1024), { debug: false });
  const storeMemory = new StoreMemory(memory, maxBytes, () => false);
  const table = new HashTable(storeMemory);
  const { int32 } = storeMemory;
  const give = (entry: number): void => memory.free(entry * 8);
  return {
    memory,
    storeMemory,
    table,
    add: (hash) => {
      const entry = memory.allocate(8) / 8;
      int32[wordOf(entry) + HASH_WORD] = hash;
      table.insert(entry);
      return entry;
    },
    remove: (entry) => {
      table.remove(table.linkTo(entry));
      give(entry);
    },
    finish: () => {
      while (table.dismantle(1000, { visit: give }) === 0);
      expect(table.size).toBe(0);
      expect(storeMemory.usedBytes).toBe(0);
      expect(memory.stats().liveBlocks).toBe(0);
    },
  };
}

/** A different hash for each number, spread well. */
function spreadHash(number: number): number {
  let hash = Math.imul(number + 1, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

function scan(table: HashTable, cursor: number, visited: Set<number>): number {
  return table.scan(cursor, { visit: (entry) => visited.add(entry) });
}

describe('HashTable', () => {
  test('grows bucket by bucket and shrinks again', () => {
    const { table, storeMemory, add, remove, finish } = fixture();
    const start = storeMemory.usedBytes;
    const entries: number[] = [];
    for (let index = 0; index < 20_000; index++) {
      const before = table.bucketCount;
      entries.push(add(spreadHash(index)));
      expect(table.bucketCount - before).toBeLessThanOrEqual(2);
    }
    table.invariants();
    expect(table.bucketCount).toBe(40_000);
    for (const entry of entries) expect(storeMemory.int32[table.linkTo(entry)]).toBe(entry);
    for (const entry of entries.splice(10)) {
      const before = table.bucketCount;
      remove(entry);
      expect(before - table.bucketCount).toBeLessThanOrEqual(4);
      expect(table.bucketCount).toBeLessThanOrEqual(Math.max(4096, 4 * table.size));
    }
    table.invariants();
    expect(table.size).toBe(10);
    expect(table.bucketCount).toBe(4096);
    expect(storeMemory.usedBytes).toBeLessThanOrEqual(start + SEGMENT_BYTES);
    finish();
  });

  test('without memory for more buckets the chains grow instead, until there is memory again', () => {
    const { table, storeMemory, add, finish } = fixture(SEGMENT_BYTES);
    for (let index = 0; index < 10_000; index++) add(spreadHash(index));
    expect(table.bucketCount).toBe(4096);
    table.invariants();
    storeMemory.maxBytes = Number.POSITIVE_INFINITY;
    for (let index = 10_000; index < 40_000; index++) add(spreadHash(index));
    expect(table.bucketCount).toBe(64_096);
    table.invariants();
    finish();
  });

  test('needs memory for its first buckets', () => {
    expect(() => fixture(100)).toThrow('16384 free bytes');
  });

  test('entries with the same hash share a bucket', () => {
    const { table, add, remove, finish } = fixture();
    const entries = Array.from({ length: 100 }, () => add(-1));
    remove(entries[50]);
    remove(entries[0]);
    remove(entries[99]);
    const visited = new Set<number>();
    for (let cursor = scan(table, 0, visited); cursor !== 0; cursor = scan(table, cursor, visited));
    expect(visited.size).toBe(97);
    finish();
  });

  test.each([0, 1, 2048, 2049, 3000, 4096, 5000])('a scan of %i entries visits each once', (count) => {
    const { table, add, finish } = fixture();
    const entries = Array.from({ length: count }, (_, index) => add(spreadHash(index)));
    const visited: number[] = [];
    let cursor = 0;
    let calls = 0;
    do {
      cursor = table.scan(cursor, { visit: (entry) => visited.push(entry) });
      calls++;
    } while (cursor !== 0);
    expect(visited.length).toBe(count);
    expect(new Set(visited)).toEqual(new Set(entries));
    expect(calls).toBe(table.bucketCount);
    finish();
  });

  test('whatever stays in the table during a scan is visited', () => {
    const changes = fc.array(
      fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 200, max: 2000 })),
      {
        minLength: 1,
        maxLength: 40,
      },
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9000 }), changes, (initial, steps) => {
        const { table, add, remove, finish } = fixture();
        let next = 0;
        const live: number[] = [];
        for (; next < initial; next++) live.push(add(spreadHash(next)));
        const lasting = new Set(live);
        const visited = new Set<number>();
        let cursor = 0;
        let started = false;
        for (let step = 0; !started || cursor !== 0; step++) {
          started = true;
          const [grows, count, calls] = steps[step % steps.length];
          for (let call = 0; call <= calls; call++) {
            cursor = scan(table, cursor, visited);
            if (cursor === 0) break;
          }
          if (cursor === 0) break;
          for (let change = 0; change < count; change++) {
            if (grows && live.length < 20_000) {
              live.push(add(spreadHash(next++)));
            } else if (!grows && live.length > 0) {
              const [entry] = live.splice((change * 7919) % live.length, 1);
              lasting.delete(entry);
              remove(entry);
              visited.delete(entry);
            }
          }
        }
        for (const entry of lasting) expect(visited.has(entry)).toBe(true);
        table.invariants();
        finish();
      }),
      { numRuns: 30 },
    );
  });

  test('a scan that begins anywhere ends', () => {
    const { table, add, finish } = fixture();
    for (let index = 0; index < 5000; index++) add(spreadHash(index));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (start) => {
        let calls = 0;
        for (let cursor = start; calls++ === 0 || cursor !== 0; ) {
          const next = scan(table, cursor, new Set());
          expect(next === 0 || next > cursor).toBe(true);
          cursor = next;
        }
      }),
      { numRuns: 20 },
    );
    finish();
  });

  test('a random entry can be any', () => {
    const { table, add, remove, finish } = fixture();
    expect(table.randomEntry(Math.random)).toBe(NONE);
    const entries = Array.from({ length: 5 }, (_, index) => add(index < 2 ? 7 : spreadHash(index)));
    // A deterministic sequence that covers the range evenly.
    let step = 0;
    const random = (): number => (step++ * 0.618033988749895) % 1;
    const seen = new Set<number>();
    for (let draw = 0; draw < 500; draw++) seen.add(table.randomEntry(random));
    expect(seen).toEqual(new Set(entries));
    for (const entry of entries.slice(1)) remove(entry);
    expect(table.randomEntry(() => 0.999)).toBe(entries[0]);
    finish();
  });
});
