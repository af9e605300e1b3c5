import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type KnownLoad, ShardLoads } from '../../src/balance/shard-loads.ts';

function loadsOf(known: readonly (KnownLoad | undefined)[]): ShardLoads {
  return new ShardLoads(known.length, (shardId) => known[shardId]);
}

const idle = { utilisation: 0, connections: 0 };

describe('the shard with the least load', () => {
  test('is the one with the fewest connections, where all are equally busy', () => {
    const loads = loadsOf([10, 4, 7].map((connections) => ({ utilisation: 0.3, connections })));
    expect(loads.pick([0, 1, 2], 0)).toBe(1);
  });

  test('is another one than a busy shard with a few connections less', () => {
    const loads = loadsOf([
      { utilisation: 1, connections: 5 },
      { utilisation: 0.1, connections: 10 },
    ]);
    expect(loads.pick([0, 1], 0)).toBe(1);
  });

  test('but a busy shard gets connections too before others drown in idle ones', () => {
    const loads = loadsOf([
      { utilisation: 1, connections: 5 },
      { utilisation: 0, connections: 100 },
    ]);
    expect(loads.pick([0, 1], 0)).toBe(0);
  });

  test('is none that is gone', () => {
    expect(loadsOf([undefined, idle]).pick([0, 1], 0)).toBe(1);
    expect(loadsOf([undefined, undefined]).pick([0, 1], 0)).toBe(-1);
    expect(loadsOf([idle]).pick([], 0)).toBe(-1);
  });

  test('is not chosen for a whole burst: what it was given counts at once', () => {
    const loads = loadsOf([idle, idle, { utilisation: 0, connections: 30 }]);
    const counts = [0, 0, 0];
    for (let i = 0; i < 90; i++) {
      const shardId = loads.pick([0, 1, 2], 1);
      counts[shardId]++;
      loads.give(shardId);
    }
    expect(counts).toEqual([40, 40, 10]);
  });

  test('figures are read again after some milliseconds', () => {
    const known = [
      { utilisation: 0, connections: 1 },
      { utilisation: 0, connections: 2 },
    ];
    const loads = loadsOf(known);
    expect(loads.pick([0, 1], 100)).toBe(0);
    known[0].connections = 3;
    expect(loads.pick([0, 1], 104)).toBe(0);
    expect(loads.pick([0, 1], 105)).toBe(1);
  });
});

test('whatever is known, it picks a candidate that exists, and none that is worse in both respects', () => {
  const load = fc.option(
    fc.record({
      utilisation: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constant(Number.NaN)),
      connections: fc.nat(10_000),
    }),
    { nil: undefined, freq: 5 },
  );
  fc.assert(
    fc.property(fc.array(load, { minLength: 1, maxLength: 8 }), fc.array(fc.nat(7)), (known, wanted) => {
      const candidates = new Set(wanted.filter((shardId) => shardId < known.length));
      const best = loadsOf(known).pick(candidates, 0);
      const alive = [...candidates].filter((shardId) => known[shardId] !== undefined);
      if (best < 0) {
        expect(alive).toEqual([]);
        return;
      }
      expect(alive).toContain(best);
      const { utilisation, connections } = known[best] as KnownLoad;
      for (const other of alive) {
        const { utilisation: otherUtilisation, connections: otherConnections } = known[other] as KnownLoad;
        expect(otherConnections < connections && otherUtilisation < utilisation).toBe(false);
      }
    }),
  );
});
