import type { WireError } from '../worker-protocol.js';

/** A call as the shard sends it; its values are in `image`, or in the shard's arena where that says. */
export interface OffloadRequest {
  /** Unique on the shard. */
  readonly callId: number;
  /** URL of the module. */
  readonly module: string;
  /** Name of the exported function. */
  readonly name: string;
  /** The limit that it counts for. */
  readonly limit: string;
  /** A message as in a slot of a ring between shards. */
  readonly image: Int32Array;
  /** How many arguments. */
  readonly count: number;
}

/** A call as a thread of the pool gets it. */
export interface OffloadTask extends OffloadRequest {
  readonly shardId: number;
  /** The shard's memory; undefined when nothing of it is needed. */
  readonly arena: SharedArrayBuffer;
  /** The place in {@link PoolThreadData.claims} where the thread says that it has begun. */
  readonly place: number;
  /** What is there until then. */
  readonly ticket: number;
}

/** What a function returned or threw. */
export interface OffloadAnswer {
  readonly type: 'answer';
  readonly failed: boolean;
  readonly threadId: number;
  readonly image: Int32Array;
  /** The thread's memory, for a result that lies there; undefined when the image has all of it. */
  readonly arena: SharedArrayBuffer | undefined;
  /** How many pieces of the result are still to be given back, by places. */
  readonly held: Int32Array;
  readonly place: number;
  /** What was thrown, when the thread's memory has no room for it. */
  readonly unwritten: WireError | undefined;
  /** Tokens of arguments that the function has kept. */
  readonly kept: readonly number[];
}

/** How a call ended. */
export type OffloadOutcome =
  | OffloadAnswer
  /** It did not run, or its thread has ended: nobody reads the arguments any more. */
  | { readonly type: 'ended' }
  | { readonly type: 'failed'; readonly code: string; readonly message: string; readonly cause?: WireError };

/** From the pool to a shard. */
export type OffloadReport =
  | {
      readonly type: 'offloaded';
      readonly callId: number;
      readonly outcome: OffloadOutcome;
      /** How long it waited in the pool, and how long a thread had it; NaN when none did. */
      readonly waitedMs: number;
      readonly ranMs: number;
    }
  /** A function let go of arguments that it had kept. */
  | { readonly type: 'offloadReturned'; readonly threadId: number; readonly tokens: readonly number[] }
  /** A thread of the pool has ended: what it kept is free. */
  | { readonly type: 'offloadThreadEnded'; readonly threadId: number };

/** From a shard to the pool. */
export type OffloadCommand =
  | { readonly type: 'offload'; readonly request: OffloadRequest }
  | { readonly type: 'offloadAbort'; readonly callId: number };

/** What every thread of the pool is born with. */
export interface PoolThreadData {
  readonly claims: Int32Array;
  readonly cpus: readonly number[] | undefined;
  readonly nice: number;
  readonly memoryBytes: number;
  readonly maxMessageBytes: number;
}

/** A thread tells that it let go of arguments. */
export interface LateReturn {
  readonly threadId: number;
  readonly shardId: number;
  readonly tokens: readonly number[];
}
