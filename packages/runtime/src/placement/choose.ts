import type { Cpu } from './topology.js';

/** Which CPUs a choice prefers. */
export type Preference = 'spread' | 'pack';

/** Sums that are compared from the first to the last; less is better. */
type Cost = readonly [number, number, number];

/** Nodes, packages in them, cores in those. */
type Level = 0 | 1 | 2;
const CORE: Level = 2;

/**
 * What a choice of `count` CPUs in one domain costs by itself.
 *
 * Spread counts the squares of how many are in each domain: the fewer share one, and the more even, the less. Sharing a
 * core costs most speed, so cores come first, then nodes (memory bandwidth), then packages. Pack counts the domains that
 * are used at all: nodes first, then packages, then cores.
 */
function costOf(preference: Preference, level: Level, count: number): Cost {
  if (preference === 'pack') {
    const used = count === 0 ? 0 : 1;
    return level === 0 ? [used, 0, 0] : level === 1 ? [0, used, 0] : [0, 0, used];
  }
  const squared = count * count;
  return level === CORE ? [squared, 0, 0] : level === 0 ? [0, squared, 0] : [0, 0, squared];
}

function sum(a: Cost, b: Cost): Cost {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
}

function isLess(a: Cost, b: Cost): boolean {
  if (a[0] !== b[0]) return a[0] < b[0];
  if (a[1] !== b[1]) return a[1] < b[1];
  return a[2] < b[2];
}

/** The cheapest choices in a part of the machine. */
interface Choices {
  /** By number of CPUs. */
  readonly costs: readonly Cost[];
  /** The CPUs of the cheapest choice of so many. */
  readonly take: (count: number) => Cpu[];
}

const NOTHING: Choices = { costs: [[0, 0, 0]], take: () => [] };

/** The best ways to divide a number between two parts. As costs only add up, there is no better way over both. */
function join(left: Choices, right: Choices, most: number): Choices {
  const costs: Cost[] = [];
  const inRight: number[] = [];
  const size = Math.min(most, left.costs.length + right.costs.length - 2);
  for (let count = 0; count <= size; count++) {
    let best: Cost | undefined;
    // From few in the right part to many, so that equal choices prefer the left one: the lower CPUs.
    for (
      let right_ = Math.max(0, count - left.costs.length + 1);
      right_ < right.costs.length && right_ <= count;
      right_++
    ) {
      const cost = sum(left.costs[count - right_], right.costs[right_]);
      if (best !== undefined && !isLess(cost, best)) continue;
      best = cost;
      inRight[count] = right_;
    }
    costs.push(best ?? [0, 0, 0]);
  }
  return {
    costs,
    take: (count) => [...left.take(count - inRight[count]), ...right.take(inRight[count])],
  };
}

function choicesIn(cpus: readonly Cpu[], level: Level, preference: Preference, most: number): Choices {
  let inside: Choices;
  if (level === CORE) {
    inside = {
      costs: Array.from({ length: Math.min(most, cpus.length) + 1 }, () => [0, 0, 0] as const),
      take: (count) => cpus.slice(0, count),
    };
  } else inside = choicesAmong(cpus, (level + 1) as Level, preference, most);
  return {
    costs: inside.costs.map((cost, count) => sum(cost, costOf(preference, level, count))),
    take: inside.take,
  };
}

function choicesAmong(cpus: readonly Cpu[], level: Level, preference: Preference, most: number): Choices {
  const domains = new Map<number, Cpu[]>();
  for (const cpu of cpus) {
    const key = level === 0 ? cpu.node : level === 1 ? cpu.package : cpu.core;
    const domain = domains.get(key);
    if (domain === undefined) domains.set(key, [cpu]);
    else domain.push(cpu);
  }
  let choices = NOTHING;
  for (const domain of domains.values()) {
    choices = join(choices, choicesIn(domain, level, preference, most), most);
  }
  return choices;
}

/**
 * Chooses CPUs out of several, for the best of all choices by the preference (not by a greedy approximation, which goes
 * wrong where a control group left holes in the machine).
 *
 * @param count - 0 to the number of CPUs.
 * @returns Rising by node, package, core and number.
 */
export function chooseCpus(cpus: readonly Cpu[], count: number, preference: Preference): Cpu[] {
  const sorted = [...cpus].sort(
    (a, b) => a.node - b.node || a.package - b.package || a.core - b.core || a.cpu - b.cpu,
  );
  return count === sorted.length ? sorted : choicesAmong(sorted, 0, preference, count).take(count);
}
