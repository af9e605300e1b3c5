import { Config, fixedParameter, memoryParameter, type Parameter } from '../commands/config.js';
import type { ShardCore } from './shard-core.js';

/** What CONFIG GET shows, under the names that Redis has for it, and CONFIG SET changes. */
export function makeConfig(core: ShardCore): Config {
  const { options, shard } = core;
  const seconds = (timeMs: number): string => String(timeMs / 1000);
  const fixed: readonly (readonly [string, string])[] = [
    ['bind', options.host],
    ['port', String(options.port)],
    ['dir', options.data],
    ['databases', '1'],
    ['maxclients', String(options.maxClients)],
    ['maxmemory-policy', 'noeviction'],
    ['appendonly', 'yes'],
    ['appendfsync', options.fsync],
    ['save', ''],
    ['timeout', seconds(options.idleTimeoutMs)],
    ['handshake-timeout', seconds(options.handshakeTimeoutMs)],
    ['client-output-timeout', seconds(options.clientOutputTimeoutMs)],
    ['client-query-buffer-limit', String(options.maxRequestBytes)],
    ['proto-max-bulk-len', String(options.maxValueBytes)],
    ['shards', String(options.shards)],
  ];
  const parameters: Parameter[] = fixed.map(([name, value]) => fixedParameter(name, value));
  // Each shard has an equal part of what is said for all.
  const limit = (): number => core.store.maxBytes * shard.count;
  parameters.push(
    memoryParameter('maxmemory', limit, (bytes) => {
      const largest = core.largestStoreBytes;
      core.store.maxBytes = bytes === 0 ? largest : Math.min(largest, Math.floor(bytes / shard.count));
    }),
  );
  return new Config(parameters);
}
