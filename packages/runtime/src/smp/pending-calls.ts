import { SunstarError } from '../errors.js';

/** Settles the promise of a call, with a value or another promise. */
export type Resolve = (value: unknown) => void;

const INDEX_BITS = 20;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
const GENERATIONS = 1 << (31 - INDEX_BITS);

/** The largest number of calls that one shard can wait for, over all its peers: 1,048,576. */
export const MAX_PENDING_CALLS: number = INDEX_MASK + 1;

/**
 * The calls that wait for an answer, in parallel arrays. A call id is its place and the generation of that
 * place, so that an answer to a call that was given up cannot settle the one that came after it.
 */
export class PendingCalls {
  readonly #limit: number;
  #resolvers: (Resolve | undefined)[] = [];
  #generations: Int32Array = new Int32Array(0);
  #shards: Int32Array = new Int32Array(0);
  #targets: Int32Array = new Int32Array(0);
  /** Free places, a stack. */
  #free: Int32Array = new Int32Array(0);
  #freeCount = 0;

  constructor(limit: number = MAX_PENDING_CALLS) {
    this.#limit = limit;
  }

  /** How many calls wait. */
  get size(): number {
    return this.#resolvers.length - this.#freeCount;
  }

  /** Whether no further call can be added. */
  get full(): boolean {
    return this.#freeCount === 0 && this.#resolvers.length >= this.#limit;
  }

  /** Adds a call; only when not `full`. @returns Its id, not negative. */
  add(resolve: Resolve, shardId: number, target: number): number {
    if (this.#freeCount === 0) this.#grow();
    const index = this.#free[--this.#freeCount];
    this.#resolvers[index] = resolve;
    this.#shards[index] = shardId;
    this.#targets[index] = target;
    return index | (this.#generations[index] << INDEX_BITS);
  }

  /** The service and method of a waiting call. */
  target(callId: number): number {
    return this.#targets[callId & INDEX_MASK];
  }

  /** Removes a call. @returns What settles it, or undefined when no such call waits for this shard. */
  take(callId: number, shardId: number): Resolve | undefined {
    const index = callId & INDEX_MASK;
    if (index >= this.#resolvers.length) return undefined;
    const resolve = this.#resolvers[index];
    if (resolve === undefined || this.#generations[index] !== callId >>> INDEX_BITS) return undefined;
    if (this.#shards[index] !== shardId) return undefined;
    this.#release(index);
    return resolve;
  }

  /** Removes all calls to a shard and settles each with `settle(resolve, target)`. */
  takeAll(shardId: number, settle: (resolve: Resolve, target: number) => void): void {
    for (let index = 0; index < this.#resolvers.length; index++) {
      const resolve = this.#resolvers[index];
      if (resolve === undefined || this.#shards[index] !== shardId) continue;
      this.#release(index);
      settle(resolve, this.#targets[index]);
    }
  }

  invariants(): void {
    const free = new Set(this.#free.subarray(0, this.#freeCount));
    const ok =
      free.size === this.#freeCount &&
      this.#resolvers.length <= this.#limit &&
      this.#resolvers.every((resolve, index) => (resolve === undefined) === free.has(index)) &&
      this.#generations.every((generation) => generation >= 0 && generation < GENERATIONS);
    if (!ok) {
      throw new SunstarError(
        'SUNSTAR_BROKEN_INVARIANT',
        'The table of pending cross-shard calls is inconsistent.',
      );
    }
  }

  #release(index: number): void {
    this.#resolvers[index] = undefined;
    this.#generations[index] = (this.#generations[index] + 1) & (GENERATIONS - 1);
    this.#free[this.#freeCount++] = index;
  }

  #grow(): void {
    const before = this.#resolvers.length;
    const after = Math.min(this.#limit, Math.max(256, before * 2));
    this.#generations = widened(this.#generations, after);
    this.#shards = widened(this.#shards, after);
    this.#targets = widened(this.#targets, after);
    this.#free = widened(this.#free, after);
    for (let index = after - 1; index >= before; index--) this.#free[this.#freeCount++] = index;
    for (let index = before; index < after; index++) this.#resolvers.push(undefined);
  }
}

function widened(words: Int32Array, length: number): Int32Array {
  const wide = new Int32Array(length);
  wide.set(words);
  return wide;
}
