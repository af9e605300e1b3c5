import { type Channel, channel } from 'node:diagnostics_channel';
import { MEMORY_PRESSURE } from '../memory/background-reclaim.js';

/**
 * The events that sunstar publishes through `node:diagnostics_channel`. A channel belongs to one thread: those of
 * the life of shards and of stalls are published on the main thread (on the thread itself under `attach()`), the
 * others on the shard.
 */
export const CHANNELS: {
  /** A shard has started: `{ shard }`. */
  readonly shardStart: Channel;
  /** A shard has ended: `{ shard }`. */
  readonly shardStop: Channel;
  /** A shard has crashed: `{ shard, error }`. */
  readonly shardCrash: Channel;
  /** A turn lasts too long: a `StallReport`. */
  readonly stall: Channel;
  /** An operation took longer than the threshold: a `SlowOperation`. */
  readonly slowOperation: Channel;
  /** The shard asks its reclaimers because little memory is free: `{ freeBytes, targetBytes }`. */
  readonly memoryPressure: Channel;
  /** Nobody handled the rejection of a promise: `{ shard, group, service, error }`. */
  readonly unhandledRejection: Channel;
} = {
  shardStart: channel('sunstar:shard:start'),
  shardStop: channel('sunstar:shard:stop'),
  shardCrash: channel('sunstar:shard:crash'),
  stall: channel('sunstar:stall'),
  slowOperation: channel('sunstar:slow-operation'),
  memoryPressure: MEMORY_PRESSURE,
  unhandledRejection: channel('sunstar:unhandled-rejection'),
};
