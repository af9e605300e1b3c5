import { logBackend } from './life-cycle/log-advice.js';
import { type LogOption, shardLogger } from './log.js';
import { createArena, type HugePages, MAX_ARENA_BYTES, PAGE_BYTES, ShardMemory } from './memory/index.js';
import { reportOwnStalls } from './observe/attached.js';
import { resolveObserveOptions, type StallOptions } from './observe/options.js';
import { type BackendOption, chooseBackend, Reactor } from './reactor/index.js';
import { createGroupNames, GroupNames } from './scheduling/group-names.js';
import { findCurrentShard, Shard, setCurrentShard } from './shard.js';
import { parseSize } from './size.js';
import { createControlBlock, Mesh } from './smp/index.js';

/** Options of {@link attach}. */
export interface AttachOptions {
  /** Size of the arena, in bytes or as text; pages count only once they are used. @default '256MiB' */
  readonly memory?: number | string;
  /** Whether huge pages back the arena. @default 'auto' */
  readonly hugePages?: HugePages;
  /**
   * Who serves the ring: `auto` takes io_uring where it can be used, and else emulates it and logs why. The environment
   * variable `SUNSTAR_BACKEND` goes before this. @default 'auto'
   */
  readonly backend?: BackendOption;
  /** How long the thread looks for work before it sleeps, in microseconds. @default 0 */
  readonly idlePollUs?: number;
  /** How long a turn should last at most, in microseconds, 50 to 100000: see docs/scheduling.md. @default 500 */
  readonly taskQuotaUs?: number;
  /**
   * Turns that last too long: they are reported once the thread runs again. `false` switches their detection off, for
   * programs that may do as they like with their thread. @default the defaults of {@link StallOptions}
   */
  readonly stalls?: StallOptions | false;
  /** Operations on files that take longer are logged, in milliseconds; Infinity for none. @default 1000 */
  readonly slowOperationMs?: number;
  /** The same for sends and connects, which a slow peer makes slow, too. @default 10000 */
  readonly slowSocketOperationMs?: number;
  /** Level or logger. @default 'warn' */
  readonly log?: LogOption;
}

/**
 * Makes the current thread, the main thread or a worker of the application's own, a runtime of one shard:
 * files, sockets and buffers of sunstar can be used in an ordinary program. The rest of Node goes on
 * working, and a process with nothing pending ends by itself.
 *
 * A thread is attached once; later calls return the same shard and their options are ignored.
 *
 * @throws SunstarError SUNSTAR_INVALID_SIZE, SUNSTAR_INVALID_OPTION, and those of {@link chooseBackend}
 */
export function attach(options: AttachOptions = {}): Shard {
  const existing = findCurrentShard();
  if (existing !== undefined) return existing;
  const choice = chooseBackend(options.backend);
  const log = shardLogger(options.log ?? 'warn', 0);
  logBackend(log, choice);
  const arena = createArena(arenaSize(parseSize(options.memory ?? '256MiB')), {
    hugePages: options.hugePages ?? 'auto',
  });
  const memory = new ShardMemory(arena);
  const reactor = new Reactor({
    backend: choice.backend,
    idlePollUs: options.idlePollUs ?? 0,
    ...(options.taskQuotaUs === undefined ? {} : { taskQuotaUs: options.taskQuotaUs }),
  });
  const groupNames = createGroupNames();
  const observe = resolveObserveOptions(options);
  const mesh = new Mesh({
    shardId: 0,
    control: createControlBlock(1),
    memory,
    peerArenas: [arena],
    turnClock: reactor,
    idleMs: () => reactor.stats.idleMs,
    wake() {},
  });
  const shard = new Shard({
    id: 0,
    count: 1,
    generation: 0,
    reactor,
    memory,
    mesh,
    log,
    groupNames,
    slowOperationMs: observe.slowOperationMs,
    slowSocketOperationMs: observe.slowSocketOperationMs,
    data: undefined,
  });
  setCurrentShard(shard);
  reportOwnStalls(shard, new GroupNames(groupNames), observe);
  return shard;
}

/** Rounds down to what an arena can be; too small ones are refused by the arena itself. */
export function arenaSize(sizeBytes: number): number {
  return Math.min(MAX_ARENA_BYTES, sizeBytes - (sizeBytes % PAGE_BYTES));
}
