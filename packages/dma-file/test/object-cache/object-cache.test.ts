import { setImmediate as turn } from 'node:timers/promises';
import { IOBuf } from '@sunstar/iobuf';
import { heapArena, ShardMemory } from '@sunstar/runtime';
import { describe, expect, it } from 'vitest';
import { DmaFile, ObjectCache } from '../../src/index.js';
import { scratch } from '../support.js';
import { ManualFile } from './manual-file.js';
import { bytesOf, codeOf, KIB, PLACES, SLOT, setUp } from './set-up.js';

const { path, shard } = scratch();

describe('ObjectCache', () => {
  it('reads again what is asked for after an invalidate, though an older read is under way', async () => {
    const { cache, files } = setUp();
    const [file] = files;
    const before = cache.read(file, 0, 100);
    cache.invalidate(file);
    const after = cache.read(file, 0, 100);
    expect(file.reads).toBe(2);
    const [old, fresh] = [...file.parked];
    old.finish(null);
    bytesOf(await before);
    expect(cache.has(file, 0)).toBe(false);
    file.content.fill(7, 0, 100);
    fresh.finish(null);
    expect(bytesOf(await after).equals(Buffer.alloc(100, 7))).toBe(true);
    expect(cache.has(file, 0)).toBe(true);
    cache.invariants();
    await cache.close();
  });

  it('evicts the least recently used first, and nothing that is pinned or dirty', () => {
    const { memory, cache, files } = setUp({ limit: 4 * 4096, maxDirty: 4096 });
    const [file] = files;
    const put = (slot: number, dirty = false): boolean => {
      using content = IOBuf.from(Buffer.alloc(4096, slot), memory);
      return cache.put(file, slot * SLOT, content, { dirty });
    };
    const there = (): number[] =>
      Array.from({ length: PLACES }, (_, i) => i).filter((slot) => cache.has(file, slot * SLOT));
    for (const slot of [0, 1, 2]) put(slot);
    put(3, true);
    cache.get(file, 0)?.[Symbol.dispose]();
    const pin = cache.pin(file, SLOT);
    expect(put(4)).toBe(true);
    expect(there()).toEqual([0, 1, 3, 4]);
    expect(put(5)).toBe(true);
    expect(there()).toEqual([1, 3, 4, 5]);
    const second = cache.pin(file, 4 * SLOT);
    expect(put(6)).toBe(true);
    const third = cache.pin(file, 6 * SLOT);
    expect(put(7)).toBe(false);
    expect(() => put(7, true)).toThrow(/no room/);
    expect(there()).toEqual([1, 3, 4, 6]);
    pin[Symbol.dispose]();
    expect(put(7)).toBe(true);
    expect(there()).toEqual([3, 4, 6, 7]);
    expect(cache.stats).toMatchObject({
      evictions: 4,
      pinnedEntries: 2,
      dirtyEntries: 1,
      usedBytes: 4 * 4096,
    });
    second[Symbol.dispose]();
    third[Symbol.dispose]();
    cache.invalidate(file);
    cache.invariants();
  });

  it('reads an object once for all who ask, each gets a share, and an error reaches all', async () => {
    const { cache, files, memory } = setUp();
    const [file] = files;
    const readers = [100, 4000, 4096].map((length) =>
      cache.read(file, 0, 4096).then((content) => bytesOf(content).length === 4096 && length > 0),
    );
    expect(file.reads).toBe(1);
    file.parked[0].finish(null);
    expect(await Promise.all(readers)).toEqual([true, true, true]);
    expect(bytesOf(await cache.read(file, 0, 10)).equals(file.content.subarray(0, 10))).toBe(true);
    expect(file.reads).toBe(1);
    // More than what is there is read again.
    const longer = cache.read(file, 0, 8000);
    file.parked[0].finish(null);
    expect(bytesOf(await longer)).toHaveLength(8000);
    const failing = [codeOf(cache.read(file, SLOT, 10)), codeOf(cache.read(file, SLOT, 5))];
    file.parked[0].finish(Object.assign(new Error('no'), { code: 'E' }));
    expect(await Promise.all(failing)).toEqual(['E', 'E']);
    expect(cache.stats).toMatchObject({ hits: 1, misses: 3, joined: 3, loadErrors: 1, entries: 1 });
    await cache.close();
    expect(await codeOf(cache.read(file, 0, 1))).toBe('SUNSTAR_CACHE_CLOSED');
    expect(memory.stats().liveBlocks).toBe(0);
  });

  it('does not keep what was read before something newer was put or forgotten', async () => {
    const { cache, files, memory } = setUp();
    const [file] = files;
    const old = cache.read(file, 0, 100);
    using newer = IOBuf.from('newer', memory);
    cache.put(file, 0, newer, { dirty: true });
    file.parked[0].finish(null);
    (await old)[Symbol.dispose]();
    expect(bytesOf(cache.get(file, 0) as IOBuf).toString()).toBe('newer');
    const older = cache.read(file, 2 * SLOT, 100);
    cache.put(file, 2 * SLOT, newer);
    file.parked[0].finish(null);
    (await older)[Symbol.dispose]();
    expect(bytesOf(cache.get(file, 2 * SLOT) as IOBuf).toString()).toBe('newer');
    const gone = cache.read(file, SLOT, 100);
    cache.invalidate(file);
    file.parked[0].finish(null);
    (await gone)[Symbol.dispose]();
    expect(cache.stats.entries).toBe(0);
  });

  it('writes again what was put as clean while an older object of its place was being written', async () => {
    const { memory, cache, files } = setUp();
    const [file] = files;
    using older = IOBuf.from('older', memory);
    using newer = IOBuf.from('newer', memory);
    cache.put(file, 0, older, { dirty: true });
    const flushed = cache.flush();
    // The application writes past the cache, and its write overtakes that of the cache.
    file.content.write('newer');
    cache.put(file, 0, newer);
    file.parked[0].finish(null);
    await flushed;
    expect(file.content.toString('latin1', 0, 5)).toBe('older');
    const closed = cache.close();
    await turn();
    file.parked[0].finish(null);
    await closed;
    expect(file.content.toString('latin1', 0, 5)).toBe('newer');
  });

  it('writes objects of one place one after the other', async () => {
    const { cache, files, memory } = setUp();
    const [file] = files;
    const put = (text: string): void => {
      using content = IOBuf.from(text, memory);
      cache.put(file, 0, content, { dirty: true });
    };
    put('first');
    const one = cache.flush();
    await turn();
    put('second');
    const two = cache.flush();
    await turn();
    expect(file.parked).toHaveLength(1);
    file.parked[0].finish(null);
    await one;
    await turn();
    expect(file.parked).toHaveLength(1);
    file.parked[0].finish(null);
    await two;
    expect(file.content.toString('latin1', 0, 6)).toBe('second');
    expect(cache.stats).toMatchObject({ writes: 2, dirtyEntries: 0 });
    await cache.close();
  });

  it('gives memory back when the shard runs out, but nothing dirty', () => {
    const { cache, files, memory } = setUp({ limit: '3MiB', maxDirty: '3MiB' });
    const [file] = files;
    const put = (offset: number, dirty: boolean): void => {
      using content = new IOBuf(memory);
      content.adopt(memory.allocate(64 * KIB), 64 * KIB, 0, 64 * KIB);
      cache.put(file, offset, content, { dirty });
    };
    for (let i = 0; i < 40; i++) put(i * 65_536, false);
    const block = memory.allocate(2 << 20);
    expect(block).toBeGreaterThanOrEqual(0);
    expect(cache.stats.entries).toBeLessThan(40);
    expect(cache.stats.reclaims).toBeGreaterThan(0);
    cache.invariants();
    memory.free(block);
    cache.invalidate(file);
    for (let i = 0; i < 40; i++) put(i * 65_536, true);
    expect(memory.tryAllocate(2 << 20)).toBe(-1);
    cache.invalidate(file);
    expect(memory.stats().liveBlocks).toBe(0);
  });

  it('writes dirty objects in the background when memory is short, and lets them go', async () => {
    const memory = new ShardMemory(heapArena(4 << 20), { debug: false, lowWaterBytes: 1 << 20 });
    const cache = new ObjectCache({ memory, limit: '4MiB', maxDirty: '4MiB' });
    const file = new ManualFile('a', memory, Buffer.alloc(4 << 20));
    for (let i = 0; i < 56; i++) {
      using content = new IOBuf(memory);
      content.adopt(memory.allocate(64 * KIB), 64 * KIB, 0, 64 * KIB);
      cache.put(file, i * 65_536, content, { dirty: true });
    }
    while (cache.stats.evictions === 0) {
      for (const parked of [...file.parked]) parked.finish(null);
      await turn();
    }
    expect(cache.stats.writes).toBeGreaterThan(0);
    cache.invariants();
    cache.invalidate(file);
  });

  it('reads past itself what it has no room for', async () => {
    const { cache, files, memory } = setUp({ limit: 16 * KIB });
    const [file] = files;
    const held: IOBuf[] = [];
    // Shares outside of the cache keep its memory although it has let the objects go.
    for (let slot = 0; slot < 5; slot++) {
      const reading = cache.read(file, slot * SLOT, 4096);
      await turn();
      file.parked[0].finish(null);
      held.push(await reading);
    }
    expect(cache.stats.bypassed).toBe(1);
    for (const one of held) one[Symbol.dispose]();
    const tooLarge = cache.read(file, 0, 20 * KIB);
    await turn();
    file.parked[0].finish(null);
    expect(bytesOf(await tooLarge)).toHaveLength(20 * KIB);
    expect(cache.stats.bypassed).toBe(2);
    await Promise.all([cache.close(), cache.close()]);
    await cache.close();
    expect(memory.stats().liveBlocks).toBe(0);
  });

  it('serves a real file, and checks its options', async () => {
    await using file = await DmaFile.open(path('objects'), { flags: 'w+' });
    await file.write(0, Buffer.alloc(32 * KIB, 'x'));
    {
      await using cache = new ObjectCache({ limit: '1MiB' });
      const contents = await Promise.all(Array.from({ length: 10 }, () => cache.read(file, 4096, 5000)));
      for (const content of contents) expect(bytesOf(content).equals(Buffer.alloc(5000, 'x'))).toBe(true);
      expect(cache.stats).toMatchObject({ misses: 1, joined: 9 });
      expect(() => new ObjectCache({ limit: '1MiB' })).toThrow(/object-cache/);
      using page = IOBuf.from(Buffer.alloc(4096, 'y'));
      cache.put(file, 8192, page, { dirty: true });
      await cache.flush(file);
    }
    using written = await file.read(8192, 4096);
    expect(written.toBuffer().equals(Buffer.alloc(4096, 'y'))).toBe(true);
    for (const options of [
      { limit: 1 },
      { limit: '64GiB' },
      { limit: '1MiB', maxDirty: '2MiB' },
      { maxEntries: 0 },
    ]) {
      expect(() => new ObjectCache(options)).toThrow(/expected/);
    }
    expect(shard.memory.group('object-cache').stats.usedBytes).toBe(0);
  });
});
