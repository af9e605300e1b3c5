import { arenaSize } from '../attach.js';
import { SunstarError } from '../errors.js';
import { type Cpu, formatCpuList, type Placed, parseCpuList } from '../placement/index.js';
import { parseSize } from '../size.js';

/** A bound on the calls that share a name. */
export interface OffloadLimit {
  /** Calls that run at the same time, 1 to 1024. @default as many as there are threads */
  readonly concurrency?: number;
  /** Calls that wait, 0 to 1,048,576. @default 1024 */
  readonly maxQueued?: number;
}

/** Options of the pool that runs offloaded calls; one pool serves all shards. */
export interface OffloadPoolOptions {
  /** The most threads, 1 to 1024; each is started when it is needed. @default one for each CPU of `cpus`, at most 4 */
  readonly threads?: number;
  /** Where they run. @default CPUs of cores without a shard; else CPUs without a shard; else all, at low priority */
  readonly cpus?: readonly number[] | string;
  /** Priority of the threads, −20 to 19; more is less. @default 10 where they share CPUs with shards, else 0 */
  readonly nice?: number;
  /** How long an idle thread is kept, in milliseconds. @default 10000 */
  readonly idleTimeoutMs?: number;
  /** Memory of a thread for results; pages count only once they are used. @default '64MiB' */
  readonly memory?: number | string;
  /** By name; the limit `default` is for calls that name none. */
  readonly limits?: Readonly<Record<string, OffloadLimit>>;
}

/** Options of {@link OffloadPoolOptions} with every default filled in. */
export interface FullOffloadOptions {
  readonly threads: number;
  /** The CPUs that the threads are bound to; undefined for none in particular. */
  readonly cpus: readonly number[] | undefined;
  readonly nice: number;
  readonly idleTimeoutMs: number;
  readonly memoryBytes: number;
  readonly limits: ReadonlyMap<string, Required<OffloadLimit>>;
}

/** The name of the limit for calls that name none. */
export const DEFAULT_LIMIT = 'default';

const THREADS = 4;
const SHARED_NICE = 10;

function whole(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new SunstarError(
    'SUNSTAR_INVALID_OPTION',
    `\`${name}\` is ${value}; give a whole number from ${least} to ${most}.`,
  );
}

/**
 * Checks options and fills in what is missing.
 *
 * @throws SunstarError SUNSTAR_INVALID_OPTION, SUNSTAR_INVALID_SIZE, SUNSTAR_INVALID_CPU_LIST
 */
export function fullOffloadOptions(options: OffloadPoolOptions, placed: Placed): FullOffloadOptions {
  const { cpus, shared } = poolCpus(options.cpus, placed);
  const threads = whole(
    'offload.threads',
    options.threads ?? Math.min(THREADS, (cpus ?? placed.allowed).length),
    1,
    1024,
  );
  const limits = new Map<string, Required<OffloadLimit>>();
  const named: Readonly<Record<string, OffloadLimit>> = { [DEFAULT_LIMIT]: {}, ...options.limits };
  for (const [name, limit] of Object.entries(named)) {
    limits.set(name, {
      concurrency: whole(`offload.limits.${name}.concurrency`, limit.concurrency ?? threads, 1, 1024),
      maxQueued: whole(`offload.limits.${name}.maxQueued`, limit.maxQueued ?? 1024, 0, 1_048_576),
    });
  }
  return {
    threads,
    cpus,
    nice: whole('offload.nice', options.nice ?? (shared ? SHARED_NICE : 0), -20, 19),
    idleTimeoutMs: whole('offload.idleTimeoutMs', options.idleTimeoutMs ?? 10_000, 0, 2 ** 31 - 1),
    memoryBytes: arenaSize(parseSize(options.memory ?? '64MiB')),
    limits,
  };
}

/** Which CPUs the pool uses, and whether shards use them too. */
export function poolCpus(
  given: readonly number[] | string | undefined,
  placed: Placed,
): { cpus: readonly number[] | undefined; shared: boolean } {
  const { allowed } = placed;
  const taken = new Set(placed.cpus.flatMap((cpus) => cpus ?? allowed.map(({ cpu }) => cpu)));
  if (given !== undefined) {
    const cpus = typeof given === 'string' ? parseCpuList(given) : given;
    const usable = new Set(allowed.map(({ cpu }) => cpu));
    if (cpus.length === 0 || !cpus.every((cpu) => usable.has(cpu))) {
      throw new SunstarError(
        'SUNSTAR_INVALID_OPTION',
        `\`offload.cpus\` is [${formatCpuList(cpus)}]; this process may use [${formatCpuList(usable)}].`,
      );
    }
    return { cpus, shared: cpus.some((cpu) => taken.has(cpu)) };
  }
  const takenCores = new Set(allowed.filter(({ cpu }) => taken.has(cpu)).map(({ core }) => core));
  const numbers = (cpus: readonly Cpu[]): number[] => cpus.map(({ cpu }) => cpu);
  // A thread beside a shard on its core takes half of its speed.
  const free = numbers(allowed.filter(({ core }) => !takenCores.has(core)));
  if (free.length > 0) return { cpus: free, shared: false };
  const siblings = numbers(allowed.filter(({ cpu }) => !taken.has(cpu)));
  if (siblings.length > 0) return { cpus: siblings, shared: false };
  return { cpus: undefined, shared: true };
}
