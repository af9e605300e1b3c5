import type { MessagePort } from 'node:worker_threads';
import { SunstarError } from '../errors.js';
import type { Arena, ShardMemory } from '../memory/index.js';
import type { Clock, Timers } from '../sync/index.js';
import { DEFAULT_MESSAGE_LIMITS, type MessageLimits } from './codec/limits.js';

/** Limits of the calls between shards; all shards of a runtime should have the same. */
export interface MeshLimits {
  /** Calls that may wait for an answer of one shard. 1 to 262,144. @default 65,536 */
  readonly maxOutstanding?: number;
  /** Largest arguments or result of a call, encoded. 1 KiB to 2 GiB − 1. @default 16 MiB */
  readonly maxMessageBytes?: number;
  /** Deepest nesting of arguments and results. 1 to 1,000. @default 200 */
  readonly maxDepth?: number;
  /** How long `sharded()` waits for the other shards, in milliseconds. @default 30,000 */
  readonly serviceTimeoutMs?: number;
  /**
   * Messages of one shard that one `poll()` handles. One-way messages that share a slot of the ring, 32 at most, are
   * handled together even when that is more. @default 256
   */
  readonly messagesPerPeer?: number;
  /** Messages that one `poll()` handles. @default 1,024 */
  readonly messagesPerPoll?: number;
}

/** Options of a mesh. */
export interface MeshOptions extends MeshLimits {
  /** The number of the shard, from 0. */
  readonly shardId: number;
  /** From `createControlBlock()`, the same for all shards. */
  readonly control: SharedArrayBuffer;
  /** A non-shared alias of `control`. @default made by the mesh */
  readonly controlAlias?: ArrayBuffer;
  /** This shard's memory: large messages are blocks of it. */
  readonly memory: ShardMemory;
  /** The arenas of all shards by shard number; this shard's own place is not used. */
  readonly peerArenas: readonly Arena[];
  /** The time that deadlines are counted in, the same on all shards. @default CLOCK_MONOTONIC */
  readonly clock?: Clock;
  /** The same time as of the begin of the turn in which `poll()` is called, if that is cheaper to read. @default `clock` */
  readonly turnClock?: Clock;
  /** How long this thread has had nothing to do, in milliseconds since any time. Without it utilisation is not known. */
  readonly idleMs?: () => number;
  /** What timeouts of calls are armed on. @default the thread's timers */
  readonly timers?: Timers;
  /** A message port to each other shard by shard number, for what only the engine can move. @default none: it is copied, or refused */
  readonly peerPorts?: readonly (MessagePort | undefined)[];
  /** Wakes a shard that sleeps; called once for each sleep. */
  readonly wake: (shardId: number) => void;
}

/** Limits with all defaults filled in. */
export type FullLimits = Required<MeshLimits> & MessageLimits;

/** @throws SunstarError `SUNSTAR_INVALID_OPTION` for a number that is out of range. */
export function fullLimits(given: MeshLimits): FullLimits {
  const { maxMessageBytes, maxDepth } = DEFAULT_MESSAGE_LIMITS;
  return {
    maxOutstanding: inRange('maxOutstanding', given.maxOutstanding ?? 65_536, 1, 262_144),
    maxMessageBytes: inRange('maxMessageBytes', given.maxMessageBytes ?? maxMessageBytes, 1024, 2 ** 31 - 1),
    maxDepth: inRange('maxDepth', given.maxDepth ?? maxDepth, 1, 1000),
    serviceTimeoutMs: inRange('serviceTimeoutMs', given.serviceTimeoutMs ?? 30_000, 1, 2 ** 31 - 1),
    messagesPerPeer: inRange('messagesPerPeer', given.messagesPerPeer ?? 256, 1, 65_536),
    messagesPerPoll: inRange('messagesPerPoll', given.messagesPerPoll ?? 1024, 1, 65_536),
  };
}

/** The value, if it is a whole number in the range. */
export function inRange(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new SunstarError(
    'SUNSTAR_INVALID_OPTION',
    `Option ${name} is a whole number from ${least} to ${most}, not ${value}.`,
  );
}
