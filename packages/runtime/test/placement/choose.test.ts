import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseCpus } from '../../src/placement/choose.js';
import type { Cpu } from '../../src/placement/topology.js';
import { server } from './machine.js';

/** Machines of up to 9 CPUs, of any unevenness: what a control group leaves of a larger one. */
const machines = fc
  .array(fc.record({ node: fc.nat(2), socket: fc.nat(1), core: fc.nat(2) }), { minLength: 1, maxLength: 9 })
  .map((places) =>
    places.map(({ node, socket, core }, cpu) => ({
      cpu,
      core: (node * 2 + socket) * 3 + core,
      package: socket,
      node,
    })),
  );

function counts(cpus: readonly Cpu[], key: (cpu: Cpu) => string): number[] {
  const found = new Map<string, number>();
  for (const cpu of cpus) found.set(key(cpu), (found.get(key(cpu)) ?? 0) + 1);
  return [...found.values()];
}

/** What a choice should keep small, the most important first; written without regard to how it is found. */
function badness(cpus: readonly Cpu[], preference: 'spread' | 'pack'): number[] {
  const cores = counts(cpus, (cpu) => `${cpu.core}`);
  const sockets = counts(cpus, (cpu) => `${cpu.node} ${cpu.package}`);
  const nodes = counts(cpus, (cpu) => `${cpu.node}`);
  if (preference === 'pack') return [nodes.length, sockets.length, cores.length];
  const squares = (numbers: number[]): number => numbers.reduce((sum, count) => sum + count * count, 0);
  return [squares(cores), squares(nodes), squares(sockets)];
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return a[index] - b[index];
  return 0;
}

function* subsets(cpus: readonly Cpu[], count: number): Generator<Cpu[]> {
  for (let mask = 0; mask < 2 ** cpus.length; mask++) {
    const subset = cpus.filter((_, index) => (mask & (1 << index)) !== 0);
    if (subset.length === count) yield subset;
  }
}

describe('chooseCpus', () => {
  it.each(['spread', 'pack'] as const)('%s is as good as the best of all choices', (preference) => {
    fc.assert(
      fc.property(machines, fc.nat(9), (cpus, wanted) => {
        const count = Math.min(wanted, cpus.length);
        const chosen = chooseCpus(cpus, count, preference);
        expect(new Set(chosen).size).toBe(count);
        expect(chosen.every((cpu) => cpus.includes(cpu))).toBe(true);
        const best = [...subsets(cpus, count)].map((subset) => badness(subset, preference)).sort(compare)[0];
        expect(badness(chosen, preference)).toEqual(best);
      }),
      { numRuns: 300 },
    );
  });

  it('uses every core before it uses one twice, and all nodes evenly', () => {
    const cpus = server(2, 16, 2);
    expect(chooseCpus(cpus, 4, 'spread').map(({ cpu }) => cpu)).toEqual([0, 1, 16, 17]);
    expect(chooseCpus(cpus, 32, 'spread').map(({ cpu }) => cpu)).toEqual(
      Array.from({ length: 32 }, (_, i) => i),
    );
    const chosen = chooseCpus(cpus, 40, 'spread');
    expect(counts(chosen, (cpu) => `${cpu.core}`).sort()).toEqual([
      ...new Array<number>(24).fill(1),
      ...new Array<number>(8).fill(2),
    ]);
    expect(counts(chosen, (cpu) => `${cpu.node}`)).toEqual([20, 20]);
  });

  it('packs both threads of a core, and one node before the next', () => {
    const cpus = server(2, 16, 2);
    expect(chooseCpus(cpus, 4, 'pack').map(({ cpu }) => cpu)).toEqual([0, 32, 1, 33]);
    expect(new Set(chooseCpus(cpus, 32, 'pack').map(({ node }) => node))).toEqual(new Set([0]));
    expect(chooseCpus(cpus, 64, 'pack')).toHaveLength(64);
  });

  it('is quick on the largest machines', () => {
    expect(chooseCpus(server(8, 64, 2), 500, 'spread')).toHaveLength(500);
    expect(chooseCpus(server(8, 64, 2), 500, 'pack')).toHaveLength(500);
  });
});
