import { heapArena, ShardMemory } from '@sunstar/runtime';
import { describe, expect, test } from 'vitest';
import { type Journal, KEY_BYTES_MAX, NEVER, NO_JOURNAL, NONE, Store } from '../../src/store/index.js';
import { contentOf, debugMemory, keyOf, Loader, scanAll } from './support.js';

const NOW_MS = 1_800_000_000_000;

class Shard {
  readonly memory: ShardMemory;
  readonly store: Store;
  readonly #loader: Loader;

  constructor(memory: ShardMemory = debugMemory(16 * 1024 * 1024), maxBytes?: number) {
    this.memory = memory;
    this.#loader = new Loader(memory, 512 * 1024);
    this.store = new Store(memory, maxBytes === undefined ? {} : { maxBytes });
    this.store.nowMs = NOW_MS;
  }

  set(key: string, value: string, expireAtMs: number = NEVER): boolean {
    this.#loader.reset();
    return this.store.set(
      this.#loader.put(Buffer.from(key)),
      key.length,
      this.#loader.put(Buffer.from(value)),
      value.length,
      expireAtMs,
    );
  }

  find(key: string): number {
    this.#loader.reset();
    return this.store.find(this.#loader.put(Buffer.from(key)), key.length);
  }

  get(key: string): string | null {
    const entry = this.find(key);
    return entry === NONE ? null : contentOf(this.memory, this.store.entries, entry).toString();
  }

  rename(from: string, to: string): boolean {
    const entry = this.find(from);
    this.#loader.reset();
    return this.store.rename(entry, this.#loader.put(Buffer.from(to)), to.length);
  }

  lookup(key: string): number {
    this.#loader.reset();
    return this.store.lookup(this.#loader.put(Buffer.from(key)), key.length);
  }
}

describe('Store', () => {
  test('counts what it holds, finds and loses', () => {
    const shard = new Shard();
    const { store } = shard;
    shard.set('a', 'value');
    shard.set('bc', 'x'.repeat(200_000), NOW_MS + 10);
    expect([store.size, store.expiringCount, store.payloadBytes]).toEqual([2, 1, 200_008]);
    expect(store.usedBytes).toBeGreaterThan(200_008);
    shard.lookup('a');
    shard.lookup('missing');
    store.nowMs = NOW_MS + 10;
    expect(shard.get('bc')).toBeNull();
    expect(store.stats).toEqual({ hits: 1, misses: 1, expired: 1 });
    expect([store.size, store.expiringCount, store.payloadBytes]).toEqual([1, 0, 6]);
    store.resetStats();
    expect(store.stats).toEqual({ hits: 0, misses: 0, expired: 0 });
  });

  test('overwrites in place when the value fits, and gives a far too large block up', () => {
    const shard = new Shard();
    const { store } = shard;
    shard.set('key', 'x'.repeat(100));
    const entry = shard.find('key');
    shard.set('key', 'y'.repeat(90), NOW_MS + 5);
    expect(shard.find('key')).toBe(entry);
    expect(store.entries.expireAtMs(entry)).toBe(NOW_MS + 5);
    shard.set('key', 'z'.repeat(50_000));
    const large = store.usedBytes;
    shard.set('key', 'small');
    expect(store.usedBytes).toBeLessThan(large - 40_000);
    expect(shard.get('key')).toBe('small');
    store.invariants();
  });

  test('the longest key, with a value beside it and in chunks', () => {
    const shard = new Shard();
    const key = 'k'.repeat(KEY_BYTES_MAX);
    for (const value of ['', 'x', 'y'.repeat(300_000)]) {
      expect(shard.set(key, value)).toBe(true);
      expect(shard.get(key) === value).toBe(true);
      expect(shard.rename(key, 'short')).toBe(true);
      expect(shard.get('short') === value).toBe(true);
      expect(shard.rename('short', key)).toBe(true);
      expect(shard.get(key) === value).toBe(true);
      shard.store.invariants();
    }
  });

  test('active expiry needs no access to the keys', () => {
    const shard = new Shard();
    for (let index = 0; index < 1000; index++) shard.set(`key:${index}`, 'v', NOW_MS + index);
    shard.set('lasting', 'v');
    shard.store.nowMs = NOW_MS + 500;
    while (shard.store.maintain(100));
    expect(shard.store.size).toBeLessThan(1001 - 400);
    expect(shard.store.size).toBeGreaterThanOrEqual(501);
    shard.store.nowMs = NOW_MS + 2000;
    while (shard.store.maintain(100));
    expect(shard.store.size).toBe(1);
    shard.store.invariants();
  });

  test('a random key is never an expired one', () => {
    const shard = new Shard();
    for (let index = 0; index < 50; index++) shard.set(`key:${index}`, 'v', NOW_MS + 10);
    shard.set('lasting', 'v');
    shard.store.nowMs = NOW_MS + 10;
    const entry = shard.store.randomEntry();
    expect(keyOf(shard.memory, shard.store.entries, entry).toString()).toBe('lasting');
    shard.store.invariants();
  });

  test('a lazy clear is freed in steps, or when memory is needed', () => {
    const shard = new Shard();
    const { store } = shard;
    const empty = store.usedBytes;
    for (let index = 0; index < 3000; index++) shard.set(`key:${index}`, 'v'.repeat(100));
    const full = store.usedBytes;
    store.clear(false);
    expect(store.size).toBe(0);
    expect(scanAll(store)).toEqual([]);
    expect(store.usedBytes).toBeGreaterThanOrEqual(full);
    expect(store.maintain(1000)).toBe(true);
    expect(store.usedBytes).toBeLessThan(full);
    while (store.maintain(1000));
    expect(store.usedBytes).toBe(empty);

    for (let index = 0; index < 3000; index++) shard.set(`key:${index}`, 'v'.repeat(100));
    store.maxBytes = store.usedBytes + 20_000;
    store.clear(false);
    expect(shard.set('large', 'x'.repeat(100_000))).toBe(true);
    store.invariants();
  });

  test('an allocation elsewhere on the shard frees what a lazy clear has left', () => {
    const memory = debugMemory(4 * 1024 * 1024);
    const shard = new Shard(memory);
    while (shard.set(`key:${shard.store.size}`, 'v'.repeat(60_000)));
    expect(memory.tryAllocate(1024 * 1024)).toBe(-1);
    shard.store.clear(false);
    expect(memory.tryAllocate(1024 * 1024)).toBeGreaterThanOrEqual(0);
  });

  test('before it gives up, an allocation looks through all that a lazy clear has left', () => {
    const memory = debugMemory(4 * 1024 * 1024);
    const store = new Store(memory, { hashSeed: new Uint8Array(8) });
    // In one of the 4096 buckets, and not among the 1024 that are freed first.
    expect(store.set(0, 1, 0, 2 * 1024 * 1024, NEVER)).toBe(true);
    store.clear(false);
    expect(memory.tryAllocate(2 * 1024 * 1024)).toBeGreaterThanOrEqual(0);
  });

  test('a growth that fails at any point gives everything back', () => {
    const content = 'abcdefg'.repeat(20_000);
    for (const oldLength of [10, 60_000, 131_072, 140_000]) {
      const shard = new Shard();
      shard.set('key', content.slice(0, oldLength));
      const { store } = shard;
      const before = store.usedBytes;
      let failures = 0;
      for (let room = 0; ; room += 8000) {
        store.maxBytes = before + room;
        const grown = store.grow(shard.find('key'), 500_000);
        if (grown !== NONE) break;
        failures++;
        expect(store.usedBytes).toBe(before);
        expect(shard.get('key') === content.slice(0, oldLength)).toBe(true);
      }
      expect(failures).toBeGreaterThan(40);
      store.invariants();
    }
  });

  test('asks the journal first', () => {
    const shard = new Shard();
    shard.set('key', 'value', NOW_MS + 1000);
    const asked: [number, number][] = [];
    const refuse: Journal = {
      ...NO_JOURNAL,
      admit: (recordCount, payloadBytes) => {
        asked.push([recordCount, payloadBytes]);
        return false;
      },
    };
    shard.store.journal = refuse;
    expect(shard.set('other', 'v')).toBe(false);
    expect(shard.store.delete(shard.find('key'))).toBe(false);
    expect(shard.store.expireAt(shard.find('key'), NEVER)).toBe(false);
    expect(shard.store.grow(shard.find('key'), 10)).toBe(NONE);
    expect(shard.store.clear(true)).toBe(false);
    expect(shard.rename('key', 'longer')).toBe(false);
    expect(asked).toEqual([
      [1, 6],
      [1, 3],
      [1, 8],
      [1, 13],
      [1, 0],
      [2, 14],
    ]);
    expect(shard.get('key')).toBe('value');
    expect(shard.store.size).toBe(1);
  });

  test('works beyond the 2 GiB where offsets no longer fit into 31 bits', () => {
    const memory = new ShardMemory(heapArena(3 * 1024 ** 3), { debug: false });
    memory.allocate(2 * 1024 ** 3);
    const shard = new Shard(memory);
    for (let index = 0; index < 5000; index++) shard.set(`key:${index}`, `value ${index}`, NOW_MS + 100_000);
    shard.set('large', 'x'.repeat(300_000));
    expect(shard.store.entries.keyOffset(shard.find('key:77'))).toBeGreaterThan(2 ** 31);
    expect(shard.get('key:77')).toBe('value 77');
    expect(shard.get('large')).toBe('x'.repeat(300_000));
    expect(shard.rename('large', 'key:77')).toBe(true);
    shard.store.invariants();
    shard.store.nowMs = NOW_MS + 200_000;
    while (shard.store.maintain(10_000));
    expect(shard.store.size).toBe(1);
    shard.store.dispose();
    expect(memory.stats().liveBlocks).toBe(2);
  });
});
