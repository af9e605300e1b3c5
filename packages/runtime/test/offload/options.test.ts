import { describe, expect, it } from 'vitest';
import { fullOffloadOptions, type OffloadPoolOptions, poolCpus } from '../../src/offload/options.js';
import { type PlacementOptions, placeShards } from '../../src/placement/index.js';
import { machine, server } from '../placement/machine.js';

const big = machine(server(2, 4, 2));
const place = (options: PlacementOptions) => placeShards({ root: big, ...options });

describe('where offloaded calls run', () => {
  it.each([
    [
      'on cores without a shard',
      { shards: 2, placement: 'max-pack' },
      { cpus: [1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15], shared: false },
    ],
    [
      'beside shards, when every core has one',
      { shards: 8 },
      { cpus: [8, 9, 10, 11, 12, 13, 14, 15], shared: false },
    ],
    ['anywhere at low priority, when every CPU has one', { shards: 16 }, { cpus: undefined, shared: true }],
    [
      'the same, when shards are not bound',
      { shards: 1, placement: 'unbound' },
      { cpus: undefined, shared: true },
    ],
    [
      'outside of a fence',
      { shards: 3, placement: 'fenced', cpus: '0-3,8-11' },
      { cpus: [4, 5, 6, 7, 12, 13, 14, 15], shared: false },
    ],
  ] as [string, PlacementOptions, ReturnType<typeof poolCpus>][])('%s', (_, options, expected) => {
    const { cpus, shared } = poolCpus(undefined, place(options));
    expect({ cpus: cpus && new Set(cpus), shared }).toEqual({
      cpus: expected.cpus && new Set(expected.cpus),
      shared: expected.shared,
    });
  });

  it('on request', () => {
    const placed = place({ shards: 2, placement: 'max-pack' });
    expect(poolCpus('2-3', placed)).toEqual({ cpus: [2, 3], shared: false });
    expect(poolCpus([0, 5], placed)).toEqual({ cpus: [0, 5], shared: true });
  });
});

describe('options of the pool', () => {
  it('have defaults', () => {
    expect(fullOffloadOptions({}, place({ shards: 16 }))).toEqual({
      threads: 4,
      cpus: undefined,
      nice: 10,
      idleTimeoutMs: 10_000,
      memoryBytes: 64 * 2 ** 20,
      limits: new Map([['default', { concurrency: 4, maxQueued: 1024 }]]),
    });
    const { threads, nice, limits } = fullOffloadOptions(
      { cpus: '3', limits: { slow: { concurrency: 1, maxQueued: 2 } } },
      place({ shards: 2 }),
    );
    expect({ threads, nice }).toEqual({ threads: 1, nice: 0 });
    expect(limits.get('slow')).toEqual({ concurrency: 1, maxQueued: 2 });
  });

  it.each([
    [{ threads: 0 }],
    [{ threads: 1025 }],
    [{ cpus: '16' }],
    [{ cpus: [] }],
    [{ nice: 20 }],
    [{ idleTimeoutMs: -1 }],
    [{ limits: { a: { concurrency: 0 } } }],
    [{ limits: { a: { maxQueued: 2 ** 30 } } }],
  ] as OffloadPoolOptions[][])('refuses %j', (options) => {
    expect(() => fullOffloadOptions(options, place({}))).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }),
    );
  });
});
