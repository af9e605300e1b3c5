import { gunzipSync } from 'node:zlib';
import { ShardMemory as BuiltMemory, createArena } from '@sunstar/runtime';
import { Profile } from 'pprof-format';
import { describe, expect, it } from 'vitest';
import { heapArena } from '../../src/memory/arena.ts';
import { parseFrames } from '../../src/memory/call-site.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function memoryOf(debug = false): ShardMemory {
  return new ShardMemory(heapArena(64 * MIB), { debug });
}

function manySmall(memory: ShardMemory, count: number): number[] {
  return Array.from({ length: count }, () => memory.allocate(100));
}

function fewLarge(memory: ShardMemory, count: number): number[] {
  return Array.from({ length: count }, () => memory.allocate(64 * KIB));
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
}

describe('the heap profile', () => {
  it('estimates what each call site holds', () => {
    const memory = memoryOf();
    memory.startHeapProfile(16 * KIB);
    const small = manySmall(memory, 100_000);
    const large = fewLarge(memory, 160);
    for (const offset of small.splice(0, 50_000)) memory.free(offset);
    for (const offset of large.splice(0, 80)) memory.free(offset);
    const sites = memory.profileSites();
    const ofSmall = sites.filter(({ stack }) => stack.includes('manySmall'));
    const ofLarge = sites.filter(({ stack }) => stack.includes('fewLarge'));
    const sum = (list: typeof sites, key: 'liveBytes' | 'allocatedBytes' | 'allocatedBlocks'): number =>
      list.reduce((total, site) => total + site[key], 0);
    // 610 samples, and all but a few of 160: errors of 4 % and 1 % at one sigma.
    expect(sum(ofSmall, 'allocatedBytes') / 10_000_000).toBeGreaterThan(0.7);
    expect(sum(ofSmall, 'allocatedBytes') / 10_000_000).toBeLessThan(1.3);
    expect(sum(ofSmall, 'allocatedBlocks') / 100_000).toBeLessThan(1.3);
    expect(sum(ofSmall, 'liveBytes') / 5_000_000).toBeGreaterThan(0.6);
    expect(sum(ofSmall, 'liveBytes') / 5_000_000).toBeLessThan(1.4);
    expect(sum(ofLarge, 'allocatedBytes') / (10 * MIB)).toBeGreaterThan(0.85);
    expect(sum(ofLarge, 'allocatedBytes') / (10 * MIB)).toBeLessThan(1.15);
    for (const { stack } of [...ofSmall, ...ofLarge]) expect(stack).toMatch(/^\s+at .*heap-profile\.test/);
    memory.invariants();
    for (const offset of [...small, ...large]) memory.free(offset);
    expect(
      memory.profileSites().every(({ liveBytes, liveBlocks }) => liveBytes === 0 && liveBlocks === 0),
    ).toBe(true);
    memory.invariants();
  });

  it('leaves blocks as they are when it stops', () => {
    const memory = memoryOf();
    memory.startHeapProfile(1);
    const blocks = manySmall(memory, 100);
    memory.stopHeapProfile();
    expect(codeOf(() => memory.profileSites())).toBe('SUNSTAR_PROFILE_OFF');
    for (const offset of blocks) {
      expect(memory.usableSize(offset)).toBe(112);
      memory.free(offset);
      expect(codeOf(() => memory.free(offset))).toBe('SUNSTAR_INVALID_FREE');
    }
    memory.invariants();
    for (const interval of [0, -1, 0.5, 2 ** 31])
      expect(codeOf(() => memory.startHeapProfile(interval))).toBe('SUNSTAR_INVALID_OPTION');
  });

  it.each([false, true])('is exported for pprof, debug %s', async (debug) => {
    const memory = memoryOf(debug);
    memory.startHeapProfile(1);
    const blocks = manySmall(memory, 20);
    for (const offset of blocks.slice(0, 5)) memory.free(offset);
    const profile = Profile.decode(gunzipSync(await memory.encodeHeapProfile()));
    const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)];
    expect(profile.sampleType.map(({ type, unit }) => `${text(type)}/${text(unit)}`)).toEqual([
      'alloc_objects/count',
      'alloc_space/bytes',
      'inuse_objects/count',
      'inuse_space/bytes',
    ]);
    expect(text(profile.defaultSampleType)).toBe('inuse_space');
    expect(Number(profile.period)).toBe(1);
    const functions = new Map(profile.function.map((entry) => [Number(entry.id), entry]));
    const locations = new Map(profile.location.map((entry) => [Number(entry.id), entry]));
    const totals = [0, 0, 0, 0];
    const names: string[] = [];
    for (const { value, locationId } of profile.sample) {
      for (const [index, number] of value.entries()) totals[index] += Number(number);
      const callers = locationId.map((id) => {
        const [line] = locations.get(Number(id))?.line ?? [];
        const called = functions.get(Number(line.functionId));
        return called === undefined ? '' : `${text(called.name)} ${text(called.filename)}`;
      });
      names.push(callers.join('\n'));
    }
    expect(totals).toEqual([20, 2000, 15, 1500]);
    expect(names.every((name) => /manySmall .*heap-profile\.test\.ts/.test(name))).toBe(true);
    expect(profile.location.some(({ line }) => Number(line[0].line) > 10)).toBe(true);
  });
});

describe('parseFrames', () => {
  it('takes the lines of a stack apart', () => {
    const stack = [
      '    at read (file:///app/cache.js:12:5)',
      '    at async Promise.all (index 0)',
      '    at /app/main.js:3:1',
      '    at new Cache (node:internal/x:1:2)',
    ].join('\n');
    expect(parseFrames(stack)).toEqual([
      { functionName: 'read', file: '/app/cache.js', line: 12 },
      { functionName: 'async Promise.all (index 0)', file: '', line: 0 },
      { functionName: '(anonymous)', file: '/app/main.js', line: 3 },
      { functionName: 'new Cache', file: 'node:internal/x', line: 1 },
    ]);
    expect(parseFrames('')).toEqual([]);
  });
});

describe('the stack of a call site', () => {
  // Built code: names of private methods look different there, and different from Node to Node.
  it('begins with the caller of the allocator', () => {
    const memory = new BuiltMemory(createArena(1024 * 1024), { debug: false });
    memory.startHeapProfile(1);
    const group = memory.group('group');
    const allocators = {
      directly: () => memory.allocate(64),
      inGroup: () => group.allocate(4096),
      aligned: () => memory.allocateAligned(100, 64),
      again: () => memory.reallocate(memory.allocate(64), 70_000),
    };
    for (const allocate of Object.values(allocators)) allocate();
    for (const { stack } of memory.profileSites()) {
      expect(stack.split('\n')[0]).toMatch(/at (?:Object\.)?\w+ .*heap-profile\.test\.ts/);
    }
  });
});
