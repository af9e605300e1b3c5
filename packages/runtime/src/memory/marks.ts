import type { Account } from './account.js';
import type { Site } from './heap-profile.js';

/** What is known of a live block beyond that it is live. */
export interface Mark {
  readonly account: Account;
  /** The profiled call site that it counts for, if it was sampled. */
  readonly site: Site | null;
  /** What was asked for. */
  readonly sizeBytes: number;
  /** Another shard holds it: only {@link ShardMemory.takeBack} frees it. */
  lent: boolean;
}

/**
 * Live blocks that something else is known of, by granule. They are in no live map, so that the common free,
 * which finds its block there, has nothing to ask.
 */
export type Marks = Map<number, Mark>;
