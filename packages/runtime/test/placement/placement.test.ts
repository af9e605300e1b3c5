import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PlacementOptions, placeShards } from '../../src/placement/placement.js';
import { machine, server } from './machine.js';

const big = machine(server(2, 16, 2));
const arm = machine(server(1, 8, 1));
const holes = machine(server(2, 4, 2), { online: '0-2,4-15', allowed: '1-3,6,9,10,14' });
const quota = machine(server(2, 16, 2), {
  files: { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': '150000 100000' },
});
const two = machine(server(2, 16, 2), { allowed: '5,37' });

describe('how many shards', () => {
  it.each([
    ['one for each CPU', { root: big }, 64, false],
    ['no more than the affinity and the cpuset allow', { root: two }, 2, false],
    ['a quota of 1.5 CPUs', { root: quota }, 1, true],
    ['a set of CPUs', { root: big, cpus: '0-3' }, 4, false],
    ['on request', { root: arm, shards: 3 }, 3, false],
    ['more than CPUs', { root: arm, shards: 9 }, 9, true],
  ] as [string, PlacementOptions, number, boolean][])('%s', (_, options, shardCount, overprovisioned) => {
    expect(placeShards(options)).toMatchObject({ shardCount, overprovisioned });
  });

  it('at least one, with a quota of half a CPU', () => {
    const root = machine(server(1, 4, 1), {
      files: { 'proc/self/cgroup': '1:cpu:/', 'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000' },
    });
    expect(placeShards({ root })).toMatchObject({ shardCount: 1, overprovisioned: true, cpus: [undefined] });
  });
});

describe('where they run', () => {
  it.each([
    ['spread', { root: big, shards: 4 }, [[0], [1], [16], [17]]],
    ['packed', { root: big, shards: 4, placement: 'max-pack' }, [[0], [32], [1], [33]]],
    ['packed in a set', { root: big, shards: 2, placement: 'max-pack', cpus: '3-5,36' }, [[4], [36]]],
    ['in holes', { root: holes }, [[1], [9], [2], [10], [6], [14]]],
    [
      'fenced',
      { root: big, shards: 2, placement: 'fenced', cpus: [7, 8] },
      [
        [7, 8],
        [7, 8],
      ],
    ],
    ['unbound', { root: big, shards: 2, placement: 'unbound' }, [undefined, undefined]],
    ['unbound when overprovisioned', { root: big, shards: 2, overprovisioned: true }, [undefined, undefined]],
    ['fenced when overprovisioned', { root: big, cpus: '1', overprovisioned: true }, [[1]]],
    ['by a list', { root: arm, shards: 2, placement: [[0, 1], [2]] }, [[0, 1], [2]]],
    [
      'by a function',
      { root: big, shards: 2, placement: (cpus, count) => cpus.slice(-count).map(({ cpu }) => [cpu]) },
      [[62], [63]],
    ],
    ['two on a CPU', { root: two, shards: 3, placement: 'max-spread' }, [[5], [5], [37]]],
  ] as [string, PlacementOptions, unknown][])('%s', (_, options, cpus) => {
    expect(placeShards(options).cpus).toEqual(cpus);
  });

  it('never outside of the set, never twice on one CPU unless there are too few', () => {
    const roots = [big, arm, holes, two];
    fc.assert(
      fc.property(
        fc.constantFrom(...roots),
        fc.integer({ min: 1, max: 100 }),
        fc.constantFrom('max-spread' as const, 'max-pack' as const),
        fc.array(fc.nat(63)),
        (root, shards, placement, wanted) => {
          const usable = placeShards({ root }).allowed.map(({ cpu }) => cpu);
          const subset = usable.filter((cpu) => wanted.includes(cpu));
          const set = subset.length > 0 ? subset : usable;
          const { cpus, overprovisioned } = placeShards({ root, shards, placement, cpus: set });
          expect(cpus).toHaveLength(shards);
          const uses = new Map(set.map((cpu) => [cpu, 0]));
          for (const list of cpus) {
            expect(list).toHaveLength(1);
            const [cpu] = list as number[];
            expect(uses.has(cpu)).toBe(true);
            uses.set(cpu, (uses.get(cpu) ?? 0) + 1);
          }
          expect(overprovisioned).toBe(shards > set.length);
          expect(Math.max(...uses.values())).toBe(Math.ceil(shards / set.length));
          expect(Math.min(...uses.values())).toBe(Math.floor(shards / set.length));
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('options', () => {
  it.each([
    [{ shards: 0 }],
    [{ shards: 1025 }],
    [{ cpus: '8' }],
    [{ cpus: [] }],
    [{ cpus: '0-8' }],
    [{ shards: 1, placement: 'pinned' as 'unbound' }],
    [{ shards: 2, placement: [[0]] }],
    [{ shards: 1, placement: [[]] }],
    [{ shards: 1, placement: [[8]] }],
    [{ shards: 1, placement: [[1]], cpus: '0' }],
    [{ shards: 1, placement: () => undefined as unknown as number[][] }],
  ] as PlacementOptions[][])('refuses %j', (options) => {
    expect(() => placeShards({ root: arm, ...options })).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }),
    );
  });
});
