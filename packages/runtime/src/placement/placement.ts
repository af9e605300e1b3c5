import { SunstarError } from '../errors.js';
import { chooseCpus } from './choose.js';
import { formatCpuList, parseCpuList } from './cpu-list.js';
import { cpuQuota } from './quota.js';
import { allowedCpus, type Cpu, readTopology } from './topology.js';

/** The CPUs of each shard, by shard number. */
export type CpuLists = readonly (readonly number[])[];

/**
 * Where shards run, after Glommio's placements:
 *
 * - `'max-spread'`: one CPU each, as few on one core, NUMA node and socket as possible;
 * - `'max-pack'`: one CPU each, on as few NUMA nodes, sockets and cores as possible;
 * - `'fenced'`: all of them anywhere in the set of CPUs;
 * - `'unbound'`: wherever the kernel puts them;
 * - a list with the CPUs of each shard, or a function that makes one.
 */
export type Placement =
  | 'unbound'
  | 'fenced'
  | 'max-spread'
  | 'max-pack'
  | CpuLists
  | ((cpus: readonly Cpu[], shardCount: number) => CpuLists);

/** What placement depends on. */
export interface PlacementOptions {
  /** How many shards. @default one for each CPU of the set, within the control group's quota */
  readonly shards?: number;
  /** @default 'max-spread'; 'unbound' when overprovisioned, 'fenced' with a set of CPUs */
  readonly placement?: Placement | undefined;
  /** The set of CPUs for shards: numbers, or a list such as `'0-3,8'`. @default all that the process may use */
  readonly cpus?: readonly number[] | string | undefined;
  /** Other work shares the CPUs of the shards. @default true with more shards than CPUs, or with a CPU quota */
  readonly overprovisioned?: boolean;
  /** The directory that stands for `/`, for tests. @default '/' */
  readonly root?: string;
}

/** Where the shards of a runtime run. */
export interface Placed {
  readonly shardCount: number;
  readonly overprovisioned: boolean;
  /** The CPUs that each shard's thread is bound to; undefined for one that is not bound. */
  readonly cpus: readonly (readonly number[] | undefined)[];
  /** All CPUs that the process may use. */
  readonly allowed: readonly Cpu[];
}

/** The largest number of shards of a runtime. */
export const MAX_SHARDS = 1024;

const MODES = ['unbound', 'fenced', 'max-spread', 'max-pack'];

function invalid(message: string): SunstarError {
  return new SunstarError('SUNSTAR_INVALID_OPTION', message);
}

/**
 * Decides how many shards there are and where each runs. Changes nothing.
 *
 * A quota of CPU time is rounded down, but to at least one shard: with 2.5 CPUs there are 2 shards, and the rest is for
 * the main thread, the garbage collector's helpers and offloaded work.
 *
 * @throws SunstarError SUNSTAR_INVALID_OPTION, SUNSTAR_INVALID_CPU_LIST
 */
export function placeShards(options: PlacementOptions = {}): Placed {
  const root = options.root ?? '/';
  const allowed = readTopology(allowedCpus(root), root);
  const set = options.cpus === undefined ? allowed : cpuSet(options.cpus, allowed);
  const quota = cpuQuota(root);
  const shardCount = options.shards ?? Math.max(1, Math.min(set.length, Math.floor(quota), MAX_SHARDS));
  if (!Number.isInteger(shardCount) || shardCount < 1 || shardCount > MAX_SHARDS) {
    throw invalid(`\`shards\` is ${shardCount}; give a whole number from 1 to ${MAX_SHARDS}.`);
  }
  const overprovisioned = options.overprovisioned ?? (shardCount > set.length || quota < set.length);
  const preferred = overprovisioned ? (options.cpus === undefined ? 'unbound' : 'fenced') : 'max-spread';
  const placement = options.placement ?? preferred;
  if (typeof placement === 'string' && !MODES.includes(placement)) {
    throw invalid(`\`placement\` is '${placement}'; give ${MODES.join(', ')}, a list or a function.`);
  }
  return { shardCount, overprovisioned, cpus: cpusOfShards(placement, set, shardCount), allowed };
}

function cpusOfShards(placement: Placement, set: readonly Cpu[], shardCount: number): Placed['cpus'] {
  switch (placement) {
    case 'unbound':
      return new Array<undefined>(shardCount).fill(undefined);
    case 'fenced':
      return new Array<number[]>(shardCount).fill(set.map(({ cpu }) => cpu));
    case 'max-spread':
      return oneEach(set, shardCount, 'spread');
    case 'max-pack':
      return oneEach(set, shardCount, 'pack');
    default: {
      const lists = typeof placement === 'function' ? placement(set, shardCount) : placement;
      checkLists(lists, set, shardCount);
      return lists.map((list) => [...list]);
    }
  }
}

/** With more shards than CPUs every CPU gets its part, and those that get one more are chosen. */
function oneEach(set: readonly Cpu[], shardCount: number, preference: 'spread' | 'pack'): number[][] {
  const everywhere = Math.floor(shardCount / set.length);
  const once = new Set(chooseCpus(set, shardCount % set.length, preference));
  const shards: number[][] = [];
  for (const cpu of chooseCpus(set, set.length, preference)) {
    for (let i = once.has(cpu) ? 0 : 1; i <= everywhere; i++) shards.push([cpu.cpu]);
  }
  return shards;
}

function cpuSet(given: readonly number[] | string, allowed: readonly Cpu[]): Cpu[] {
  const numbers = new Set(typeof given === 'string' ? parseCpuList(given) : given);
  const set = allowed.filter(({ cpu }) => numbers.has(cpu));
  if (set.length === 0 || set.length !== numbers.size) {
    throw invalid(
      `\`cpus\` is [${formatCpuList(numbers)}]; this process may use [${formatCpuList(allowed.map(({ cpu }) => cpu))}].`,
    );
  }
  return set;
}

function checkLists(lists: CpuLists, set: readonly Cpu[], shardCount: number): void {
  if (!Array.isArray(lists) || lists.length !== shardCount) {
    throw invalid(
      `\`placement\` lists ${lists?.length} shards, but ${shardCount} start. Give one list for each.`,
    );
  }
  const usable = new Set(set.map(({ cpu }) => cpu));
  for (const [shard, cpus] of (lists as CpuLists).entries()) {
    const isList = Array.isArray(cpus) && cpus.length > 0;
    if (isList && (cpus as readonly number[]).every((cpu) => usable.has(cpu))) continue;
    throw invalid(
      `\`placement\` puts shard ${shard} on CPUs [${String(cpus)}]; it may use [${formatCpuList(usable)}].`,
    );
  }
}
