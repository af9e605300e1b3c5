import { SunstarError } from '../errors.js';
import type { Completion } from './completion.js';

const SLOT_BITS = 17;
const SLOT_MASK = (1 << SLOT_BITS) - 1;
const GENERATION_MASK = 0x1fff;
const INITIAL_SLOTS = 1024;

/** The most operations that a reactor can have in flight: 131,072. */
export const MAX_OPERATIONS: number = 1 << SLOT_BITS;

/**
 * Who waits for which operation in flight. An operation id is a small integer: the slot and a
 * generation that tells a finished operation from its successor in the same slot.
 */
export class OperationTable {
  readonly #completions: (Completion | null)[] = [];
  #ids: Int32Array = new Int32Array(0);
  #tags: Uint8Array = new Uint8Array(0);
  #groups: Uint8Array = new Uint8Array(0);
  #free: Int32Array = new Int32Array(0);
  #freeCount = 0;

  /** How many operations are in flight. */
  get size(): number {
    return this.#ids.length - this.#freeCount;
  }

  /** Takes a slot; returns the operation's id. */
  add(completion: Completion, tag: number, groupId: number): number {
    if (this.#freeCount === 0) this.#grow();
    const slot = this.#free[--this.#freeCount];
    this.#completions[slot] = completion;
    this.#tags[slot] = tag;
    this.#groups[slot] = groupId;
    return this.#ids[slot];
  }

  /** Who waits for an operation in flight. */
  get(id: number): Completion {
    return this.#completions[id & SLOT_MASK] as Completion;
  }

  /** Ends an operation: its id is invalid from now on. */
  remove(id: number): void {
    const slot = id & SLOT_MASK;
    this.#completions[slot] = null;
    this.#ids[slot] = ((((id >>> SLOT_BITS) + 1) & GENERATION_MASK) << SLOT_BITS) | slot;
    this.#free[this.#freeCount++] = slot;
  }

  /** Whether the operation is still in flight. */
  has(id: number): boolean {
    const slot = id & SLOT_MASK;
    return slot < this.#ids.length && this.#ids[slot] === id && this.#completions[slot] !== null;
  }

  /** The tag given to an operation in flight. */
  tagOf(id: number): number {
    return this.#tags[id & SLOT_MASK];
  }

  /** Changes the tag of an operation in flight. */
  setTag(id: number, tag: number): void {
    this.#tags[id & SLOT_MASK] = tag;
  }

  /** The scheduling group that an operation in flight was submitted by. */
  groupOf(id: number): number {
    return this.#groups[id & SLOT_MASK];
  }

  #grow(): void {
    const from = this.#ids.length;
    const to = from === 0 ? INITIAL_SLOTS : from * 2;
    if (to > MAX_OPERATIONS) {
      throw new SunstarError(
        'SUNSTAR_TOO_MANY_OPERATIONS',
        `${from} operations are in flight on this shard, which is the limit. Bound the concurrency of the caller.`,
      );
    }
    const ids = new Int32Array(to);
    ids.set(this.#ids);
    const tags = new Uint8Array(to);
    tags.set(this.#tags);
    const groups = new Uint8Array(to);
    groups.set(this.#groups);
    this.#ids = ids;
    this.#tags = tags;
    this.#groups = groups;
    this.#free = new Int32Array(to);
    // The table grows only when no slot is free: the new ones are all there is, lowest on top.
    for (let slot = to - 1; slot >= from; slot--) {
      ids[slot] = slot;
      this.#completions[slot] = null;
      this.#free[this.#freeCount++] = slot;
    }
  }

  /** Checks the table's own consistency; for tests. */
  invariants(): void {
    const seen = new Set<number>();
    for (let i = 0; i < this.#freeCount; i++) {
      const slot = this.#free[i];
      if (seen.has(slot)) throw new Error(`slot ${slot} is free twice`);
      seen.add(slot);
      if (this.#completions[slot] !== null) throw new Error(`free slot ${slot} has a completion`);
    }
    for (let slot = 0; slot < this.#ids.length; slot++) {
      if ((this.#ids[slot] & SLOT_MASK) !== slot) throw new Error(`slot ${slot} has the id of another`);
      if (!seen.has(slot) && this.#completions[slot] === null) throw new Error(`slot ${slot} is lost`);
    }
  }
}
