import { totalmem } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { arenaSize } from './attach.js';
import { SunstarError } from './errors.js';
import { fullReloadOptions, type ReloadOptions } from './life-cycle/restart-policy.js';
import type { LogOption } from './log.js';
import { checkHugePages, type HugePages } from './memory/huge-pages.js';
import {
  type ObserveOptions,
  type ResolvedObserveOptions,
  resolveObserveOptions,
} from './observe/options.js';
import { type FullOffloadOptions, fullOffloadOptions, type OffloadPoolOptions } from './offload/options.js';
import { type Placed, type Placement, placeShards } from './placement/index.js';
import { type BackendChoice, type BackendOption, chooseBackend } from './reactor/index.js';
import { DEFAULT_TASK_QUOTA_US } from './scheduling/index.js';
import type { ShardCrashedError } from './shard-crashed-error.js';
import { parseSize } from './size.js';
import { fullLimits, type MeshLimits } from './smp/options.js';

/** What to do about a crash: stop the runtime, or start the shard again. */
export type CrashAction = 'stop' | 'reload';

/** Options of {@link Runtime.start}. */
export interface RuntimeOptions extends ObserveOptions {
  /** The module whose default export runs on every shard, as a URL or a path. */
  readonly entry: URL | string;
  /** How many shards, 1 to 1024. @default one for each CPU of `cpus`, within the CPU quota (rounded down, at least 1) */
  readonly shards?: number;
  /**
   * The arenas of all shards together, in bytes or as text; split evenly, each at most {@link MAX_ARENA_BYTES}.
   * Pages count only once they are used. @default half of what this process may use
   */
  readonly memory?: number | string;
  /** Whether huge pages back the arenas. @default 'auto' */
  readonly hugePages?: HugePages;
  /**
   * Who serves the shards' rings: `auto` takes io_uring where it can be used, and else emulates it and logs why. The
   * environment variable `SUNSTAR_BACKEND` goes before this. @default 'auto'
   */
  readonly backend?: BackendOption;
  /** Where the shards run. @default 'max-spread'; when overprovisioned 'unbound', with `cpus` 'fenced' */
  readonly placement?: Placement | undefined;
  /** The CPUs that shards may use: numbers, or a list such as `'0-3,8'`. @default all that the process may use */
  readonly cpus?: readonly number[] | string | undefined;
  /** Other work shares the shards' CPUs: no pinning, no polling. @default true with more shards than CPUs, or a CPU quota */
  readonly overprovisioned?: boolean;
  /** How long an idle shard looks for work before it sleeps, in microseconds. @default 200, 0 when overprovisioned */
  readonly idlePollUs?: number;
  /** How long a turn should last at most, in microseconds, 50 to 100000: see docs/scheduling.md. @default 500 */
  readonly taskQuotaUs?: number;
  /** Given to every shard as `shard.data`; structured-cloned. */
  readonly data?: unknown;
  /**
   * What to do when a shard crashes after the start: stop all others, start it again, or what a function says; when that
   * returns nothing, nothing is done. @default 'stop'
   */
  readonly onCrash?: CrashAction | ((error: ShardCrashedError) => CrashAction | undefined);
  /** How often crashed shards are started again, and when. */
  readonly reload?: ReloadOptions;
  /** The pool for work that would hold up a shard, see {@link offload}. */
  readonly offload?: OffloadPoolOptions;
  /** Limits of the calls between shards, such as the size of a message. @default those of {@link MeshLimits} */
  readonly mesh?: MeshLimits;
  /** Log level of the shards. @default 'info' */
  readonly log?: Exclude<LogOption, object>;
  /** How long the start may take. @default 60000 */
  readonly startTimeoutMs?: number;
  /** How long a stop waits for what has begun to end, see {@link ShardContext.onDrain}; 0 does not wait. @default 10000 */
  readonly drainTimeoutMs?: number;
  /** Log what about this machine costs speed or safety, see {@link startupAdvice}; once in a process. @default true */
  readonly advice?: boolean;
  /**
   * A directory in which the next process of this service finds this one, and this one the process before it: a start
   * there takes over the listening sockets, and then has the other one drain and stop. Made with mode 0700 if it is
   * missing; nobody else may be able to enter it. @default no hand-over
   */
  readonly handOver?: string | undefined;
  /** How long the stop may take before the threads are terminated. @default 30000 */
  readonly stopTimeoutMs?: number;
}

/** Options with every default filled in. */
export interface ResolvedOptions {
  readonly entry: string;
  readonly shardCount: number;
  readonly arenaBytes: number;
  readonly hugePages: HugePages;
  readonly backend: BackendChoice;
  readonly placed: Placed;
  readonly idlePollUs: number;
  readonly taskQuotaUs: number;
  readonly mesh: Required<MeshLimits>;
  readonly offload: FullOffloadOptions;
  readonly data: unknown;
  readonly onCrash: CrashAction | ((error: ShardCrashedError) => CrashAction | undefined);
  readonly reload: Required<ReloadOptions>;
  readonly log: Exclude<LogOption, object>;
  readonly observe: ResolvedObserveOptions;
  readonly startTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly advice: boolean;
  readonly handOver: string | undefined;
  readonly stopTimeoutMs: number;
}

const IDLE_POLL_US = 200;

function invalid(message: string): SunstarError {
  return new SunstarError('SUNSTAR_INVALID_OPTION', message);
}

/** Checks options and fills in what is missing. */
export function resolveOptions(options: RuntimeOptions): ResolvedOptions {
  const placed = placeShards(options);
  const { shardCount } = placed;
  const idlePollUs = options.idlePollUs ?? (placed.overprovisioned ? 0 : IDLE_POLL_US);
  if (!Number.isInteger(idlePollUs) || idlePollUs < 0 || idlePollUs > 1_000_000) {
    throw invalid(`\`idlePollUs\` is ${idlePollUs}; give 0 to 1000000 microseconds.`);
  }
  return {
    entry: entryUrl(options.entry),
    shardCount,
    arenaBytes: arenaSize(Math.floor(totalBytes(options.memory) / shardCount)),
    hugePages: checkHugePages(options.hugePages ?? 'auto'),
    backend: chooseBackend(options.backend),
    placed,
    idlePollUs,
    taskQuotaUs: options.taskQuotaUs ?? DEFAULT_TASK_QUOTA_US,
    mesh: fullLimits(options.mesh ?? {}),
    offload: fullOffloadOptions(options.offload ?? {}, placed),
    data: options.data,
    onCrash: crashAction(options.onCrash ?? 'stop'),
    reload: fullReloadOptions(options.reload ?? {}),
    log: options.log ?? 'info',
    observe: resolveObserveOptions(options),
    startTimeoutMs: timeout('startTimeoutMs', options.startTimeoutMs ?? 60_000),
    drainTimeoutMs: timeout('drainTimeoutMs', options.drainTimeoutMs ?? 10_000, 0),
    advice: options.advice ?? true,
    handOver: options.handOver === undefined ? undefined : path.resolve(options.handOver),
    stopTimeoutMs: timeout('stopTimeoutMs', options.stopTimeoutMs ?? 30_000),
  };
}

function crashAction(value: ResolvedOptions['onCrash']): ResolvedOptions['onCrash'] {
  if (value === 'stop' || value === 'reload' || typeof value === 'function') return value;
  throw invalid(`\`onCrash\` is ${String(value)}; give 'stop', 'reload' or a function.`);
}

function totalBytes(memory: number | string | undefined): number {
  if (memory !== undefined) return parseSize(memory);
  return Math.floor(usableBytes() / 2);
}

/** Memory that this process may use: inside a control group with a limit that limit counts, not the machine. */
export function usableBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 && constrained < totalmem() ? constrained : totalmem();
}

function timeout(name: string, value: number, least = 1): number {
  if (!(value >= least) || value > 2 ** 31 - 1)
    throw invalid(`\`${name}\` is ${value}; give ${least} to 2147483647 milliseconds.`);
  return value;
}

/** The `file:` URL of an entry given as a URL or a path. */
function entryUrl(entry: URL | string): string {
  if (entry instanceof URL) return entry.href;
  return entry.startsWith('file:') ? entry : pathToFileURL(entry).href;
}
