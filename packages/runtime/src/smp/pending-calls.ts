import { SunstarError } from '../errors.js';

/** Settles the promise of a call, with a value or another promise. */
export type Resolve = (value: unknown) => void;

/** What a call has besides its promise: see CallState. */
export interface PendingOptions {
  /** The call is over, whatever ended it. */
  ended(): void;
}

/** What {@link PendingCalls.take} returns for a call that was given up. */
export const GIVEN_UP: Resolve = () => {};

const INDEX_BITS = 20;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
const GENERATIONS = 1 << (31 - INDEX_BITS);

/** Words of a row: the generation, then these. */
const ROW_WORDS = 4;
const SHARD = 1;
const TARGET = 2;
const GROUP = 3;

/** The largest number of calls that one shard can wait for, over all its peers: 1,048,576. */
export const MAX_PENDING_CALLS: number = INDEX_MASK + 1;

/**
 * The calls that wait for an answer, in arrays. A call id is its place and the generation of that
 * place. A call that is given up keeps its place until its late answer has come, or its shard is gone: places
 * are used again at once, and a generation would not tell an answer that is late by thousands of calls.
 */
export class PendingCalls {
  readonly #limit: number;
  #resolvers: (Resolve | undefined)[] = [];
  /** By place: generation, shard, target and group, together in a line of memory. */
  #rows: Int32Array = new Int32Array(0);
  #options: (PendingOptions | undefined)[] = [];
  #givenUp = 0;
  /** Free places, a stack. */
  #free: Int32Array = new Int32Array(0);
  #freeCount = 0;

  constructor(limit: number = MAX_PENDING_CALLS) {
    this.#limit = limit;
  }

  /** How many calls wait. */
  get size(): number {
    return this.#resolvers.length - this.#freeCount - this.#givenUp;
  }

  /** How many calls were given up and have not been answered yet. */
  get givenUp(): number {
    return this.#givenUp;
  }

  /** Whether no further call can be added. */
  get full(): boolean {
    return this.#freeCount === 0 && this.#resolvers.length >= this.#limit;
  }

  /** How many calls a scheduling group waits for; looks at all of them. */
  sizeOf(groupId: number): number {
    let size = 0;
    for (let index = 0; index < this.#resolvers.length; index++) {
      const resolve = this.#resolvers[index];
      if (resolve === undefined || resolve === GIVEN_UP) continue;
      if (this.#rows[index * ROW_WORDS + GROUP] === groupId) size++;
    }
    return size;
  }

  /** Adds a call; only when not `full`. @returns Its id, not negative. */
  add(resolve: Resolve, shardId: number, target: number, groupId = 0, options?: PendingOptions): number {
    if (this.#freeCount === 0) this.#grow();
    const index = this.#free[--this.#freeCount];
    this.#resolvers[index] = resolve;
    const rows = this.#rows;
    const row = index * ROW_WORDS;
    rows[row + SHARD] = shardId;
    rows[row + TARGET] = target;
    rows[row + GROUP] = groupId;
    if (options !== undefined) this.#options[index] = options;
    return index | (rows[row] << INDEX_BITS);
  }

  /** The service and method of a waiting call. */
  target(callId: number): number {
    return this.#rows[(callId & INDEX_MASK) * ROW_WORDS + TARGET];
  }

  /** The scheduling group that made a waiting call. */
  group(callId: number): number {
    return this.#rows[(callId & INDEX_MASK) * ROW_WORDS + GROUP];
  }

  /** Gives a call up: its answer will be dropped. False when no such call waits for this shard. */
  giveUp(callId: number, shardId: number): boolean {
    const index = this.#find(callId, shardId);
    if (index < 0 || this.#resolvers[index] === GIVEN_UP) return false;
    this.#resolvers[index] = GIVEN_UP;
    this.#options[index] = undefined;
    this.#givenUp++;
    return true;
  }

  /**
   * Removes a call.
   *
   * @returns What settles it, {@link GIVEN_UP}, or undefined when no such call waits for this shard.
   */
  take(callId: number, shardId: number): Resolve | undefined {
    const index = this.#find(callId, shardId);
    if (index < 0) return undefined;
    const resolve = this.#resolvers[index];
    const options = this.#options[index];
    this.#release(index);
    if (options !== undefined) {
      this.#options[index] = undefined;
      options.ended();
    } else if (resolve === GIVEN_UP) this.#givenUp--;
    return resolve;
  }

  /** Removes all calls to a shard and settles each with `settle(resolve, target)`. */
  takeAll(shardId: number, settle: (resolve: Resolve, target: number) => void): void {
    for (let index = 0; index < this.#resolvers.length; index++) {
      const resolve = this.#resolvers[index];
      if (resolve === undefined || this.#rows[index * ROW_WORDS + SHARD] !== shardId) continue;
      const options = this.#options[index];
      this.#options[index] = undefined;
      this.#release(index);
      if (resolve === GIVEN_UP) this.#givenUp--;
      else {
        options?.ended();
        settle(resolve, this.#rows[index * ROW_WORDS + TARGET]);
      }
    }
  }

  invariants(): void {
    const free = new Set(this.#free.subarray(0, this.#freeCount));
    const ok =
      free.size === this.#freeCount &&
      this.#resolvers.length <= this.#limit &&
      this.#resolvers.every((resolve, index) => (resolve === undefined) === free.has(index)) &&
      this.#resolvers.filter((resolve) => resolve === GIVEN_UP).length === this.#givenUp &&
      this.#options.every((options, index) => options === undefined || !free.has(index)) &&
      this.#rows.every((word, at) => at % ROW_WORDS !== 0 || (word >= 0 && word < GENERATIONS));
    if (!ok) {
      throw new SunstarError(
        'SUNSTAR_BROKEN_INVARIANT',
        'The table of pending cross-shard calls is inconsistent.',
      );
    }
  }

  #find(callId: number, shardId: number): number {
    const index = callId & INDEX_MASK;
    if (index >= this.#resolvers.length || this.#resolvers[index] === undefined) return -1;
    const row = index * ROW_WORDS;
    if (this.#rows[row] !== callId >>> INDEX_BITS) return -1;
    return this.#rows[row + SHARD] === shardId ? index : -1;
  }

  #release(index: number): void {
    this.#resolvers[index] = undefined;
    const row = index * ROW_WORDS;
    this.#rows[row] = (this.#rows[row] + 1) & (GENERATIONS - 1);
    this.#free[this.#freeCount++] = index;
  }

  #grow(): void {
    const before = this.#resolvers.length;
    const after = Math.min(this.#limit, Math.max(256, before * 2));
    this.#rows = widened(this.#rows, after * ROW_WORDS);
    this.#free = widened(this.#free, after);
    for (let index = after - 1; index >= before; index--) this.#free[this.#freeCount++] = index;
    for (let index = before; index < after; index++) {
      this.#resolvers.push(undefined);
      this.#options.push(undefined);
    }
  }
}

function widened(words: Int32Array, length: number): Int32Array {
  const wide = new Int32Array(length);
  wide.set(words);
  return wide;
}
