import type { MessagePort } from 'node:worker_threads';
import type { ListeningSocket } from './life-cycle/listening-sockets.js';
import type { LogOption } from './log.js';
import type { MetricFamily } from './metrics/index.js';
import type { ShardObserveOptions } from './observe/options.js';
import type { OffloadCommand, OffloadReport } from './offload/protocol.js';
import type { Backend } from './reactor/index.js';
import type { MeshLimits } from './smp/index.js';

/** What the main thread gives a shard's thread at its birth. */
export interface ShardBirth {
  readonly shardId: number;
  readonly shardCount: number;
  /** How often the shard was started again after a crash. */
  readonly generation: number;
  /** Listening sockets of the process before, which the shard owns from now on. */
  readonly inherited: readonly ListeningSocket[];
  /** Whether another process may take the sockets over. */
  readonly handsOver: boolean;
  readonly control: SharedArrayBuffer;
  /** The arena of every shard, in order. */
  readonly arenas: readonly SharedArrayBuffer[];
  /** A message port to each other shard; none in runtimes of many shards. */
  readonly ports: readonly (MessagePort | undefined)[];
  readonly cpus: readonly number[] | undefined;
  readonly entry: string;
  readonly data: unknown;
  readonly backend: Backend;
  readonly idlePollUs: number;
  readonly taskQuotaUs: number;
  readonly groupNames: SharedArrayBuffer;
  readonly mesh: MeshLimits;
  /** Names of the limits on offloaded calls. */
  readonly offloadLimits: readonly string[];
  readonly observe: ShardObserveOptions;
  readonly log: Exclude<LogOption, object>;
}

/** An error on its way between threads: structured clone drops the class and own properties. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
  readonly cause: WireError | undefined;
}

/** Why shards drain: the process ends, or another one serves in its place. */
export type DrainReason = 'stop' | 'handOver';

/** Main thread to shard. */
export type Command =
  | { readonly type: 'start' }
  | { readonly type: 'drain'; readonly reason: DrainReason }
  | { readonly type: 'duplicateListeners' }
  | { readonly type: 'lookAgain' }
  | { readonly type: 'endDrain' }
  | { readonly type: 'stop' }
  | { readonly type: 'exit' }
  | { readonly type: 'collectMetrics' }
  | { readonly type: 'peerGone'; readonly shardId: number; readonly cause: WireError }
  | {
      readonly type: 'peerBack';
      readonly shardId: number;
      readonly arena: SharedArrayBuffer;
      readonly port: MessagePort | undefined;
    }
  | OffloadReport;

/** Shard to main thread, in this order; `failed` may come instead of any of them, calls and `metrics` at any time. */
export type Report =
  | { readonly type: 'ready'; readonly ringFd: number }
  | { readonly type: 'started' }
  | { readonly type: 'drained' }
  | { readonly type: 'peerForgotten'; readonly shardId: number }
  | { readonly type: 'listeners'; readonly sockets: readonly ListeningSocket[] }
  | { readonly type: 'stopped'; readonly error: WireError | undefined }
  | { readonly type: 'metrics'; readonly families: readonly MetricFamily[] }
  | { readonly type: 'failed'; readonly error: WireError; readonly where?: RejectedWhere }
  | OffloadCommand;

/** Where a promise was rejected that nobody handles. */
export interface RejectedWhere {
  /** The scheduling group. */
  readonly group: string;
  /** The service whose method is on the stack of the error, if one is. */
  readonly service: string | undefined;
}

/** Packs any thrown value. */
export function toWire(error: unknown): WireError {
  if (!(error instanceof Error)) {
    return { name: 'Error', message: String(error), stack: undefined, code: undefined, cause: undefined };
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const cause = error.cause === undefined ? undefined : toWire(error.cause);
  return { name: error.name, message: error.message, stack: error.stack, code, cause };
}

/** Unpacks an error; it keeps name, message, code, stack and causes, but not its class. */
export function fromWire(wire: WireError): Error {
  const error = new Error(
    wire.message,
    wire.cause === undefined ? undefined : { cause: fromWire(wire.cause) },
  );
  error.name = wire.name;
  if (wire.stack !== undefined) error.stack = wire.stack;
  return wire.code === undefined ? error : Object.assign(error, { code: wire.code });
}
