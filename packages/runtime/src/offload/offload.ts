import { pathToFileURL } from 'node:url';
import { placeShards } from '../placement/index.js';
import { currentGroup } from '../scheduling/index.js';
import { currentShard, findCurrentShard, type Shard } from '../shard.js';
import { DEFAULT_MESSAGE_LIMITS } from '../smp/codec/limits.js';
import { OffloadClient, type OffloadOptions } from './client.js';
import { registerOffloadMetrics } from './offload-metrics.js';
import { DEFAULT_LIMIT, fullOffloadOptions } from './options.js';
import { OffloadPool } from './pool.js';
import type { OffloadCommand } from './protocol.js';

let client: OffloadClient | undefined;

/** Makes the client of a shard whose pool is on another thread. */
export function connectOffload(
  shard: Shard,
  maxMessageBytes: number,
  limitNames: readonly string[],
  post: (command: OffloadCommand) => void,
): OffloadClient {
  const names = new Set(limitNames);
  client = new OffloadClient({
    shardId: shard.id,
    memory: shard.memory,
    limits: { ...DEFAULT_MESSAGE_LIMITS, maxMessageBytes },
    stats: registerOffloadMetrics(shard.metrics),
    groupName: () => currentGroup().name,
    defaultLimit: () => {
      // The limit that is named like the scheduling group of the code that runs, if there is one.
      const { name } = currentGroup();
      return names.has(name) ? name : DEFAULT_LIMIT;
    },
    post,
  });
  return client;
}

/** A shard made by `attach()` has a pool of its own, with the default options. */
function attachedClient(shard: Shard): OffloadClient {
  const options = fullOffloadOptions({}, placeShards({ shards: 1, placement: 'unbound' }));
  const pool = new OffloadPool(options, DEFAULT_MESSAGE_LIMITS.maxMessageBytes);
  const attached = new OffloadClient({
    shardId: shard.id,
    memory: shard.memory,
    limits: DEFAULT_MESSAGE_LIMITS,
    stats: registerOffloadMetrics(shard.metrics),
    groupName: () => currentGroup().name,
    defaultLimit: () => DEFAULT_LIMIT,
    post: (command) => {
      if (command.type === 'offload') pool.submit(self, command.request);
      else pool.abort(self, command.callId);
    },
  });
  const self = {
    shardId: shard.id,
    arena: shard.memory.arena.shared as SharedArrayBuffer,
    report: attached.receive.bind(attached),
  };
  shard.onStop(() => pool.close());
  return attached;
}

/**
 * Runs an exported function of a module in the offload pool: for work that would hold up the shard, because it
 * computes for long or blocks. The module is loaded in the pool's thread, and sees nothing of the shard's state.
 *
 * Arguments and the result are what calls between shards take. An IOBuf moves: the function reads it where it is, in the
 * shard's memory, and what the function has not put aside is let go when the call ends.
 *
 * @param module - Its URL, or a path.
 * @throws What the function throws, with its class, code and both stacks; SunstarError SUNSTAR_OFFLOAD_ABORTED,
 *   SUNSTAR_OFFLOAD_TIMEOUT, SUNSTAR_OFFLOAD_OVERLOADED, SUNSTAR_OFFLOAD_CRASHED, SUNSTAR_OFFLOAD_MODULE,
 *   SUNSTAR_OFFLOAD_FUNCTION, SUNSTAR_OFFLOAD_STOPPED, SUNSTAR_UNKNOWN_OFFLOAD_LIMIT, SUNSTAR_NOT_ATTACHED, and those of
 *   calls between shards.
 */
export function offload(
  module: URL | string,
  name: string,
  args: readonly unknown[] = [],
  options?: OffloadOptions,
): Promise<unknown> {
  if (client === undefined) {
    currentShard();
    client = attachedClient(findCurrentShard() as Shard);
  }
  return client.call(urlOf(module), name, args, options);
}

/** Names of the functions that a module exports. */
export type FunctionName<M> = {
  [K in keyof M]: M[K] extends (...args: never[]) => unknown ? K : never;
}[keyof M] &
  string;

type Arguments<F> = F extends (...args: infer A) => unknown ? A : never;
type Result<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never;

/** A module whose functions run in the offload pool; made by {@link offloadModule}. */
export interface OffloadModule<M> {
  /** See {@link offload}. */
  run<K extends FunctionName<M>>(
    name: K,
    args: Arguments<M[K]>,
    options?: OffloadOptions,
  ): Promise<Result<M[K]>>;
}

/**
 * {@link offload} with the types of a module: `offloadModule<typeof import('./hash.js')>(new URL('./hash.js',
 * import.meta.url))`. Loads nothing by itself.
 *
 * @param defaults - Options of calls that do not say otherwise.
 */
export function offloadModule<M extends object>(
  module: URL | string,
  defaults: OffloadOptions = {},
): OffloadModule<M> {
  return {
    run: (name, args, options) => offload(module, name, args, { ...defaults, ...options }) as Promise<never>,
  };
}

function urlOf(module: URL | string): string {
  if (module instanceof URL) return module.href;
  return /^[a-z][a-z0-9+.-]*:/i.test(module) ? module : pathToFileURL(module).href;
}
