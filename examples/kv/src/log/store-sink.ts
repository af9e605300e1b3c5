import { OutOfMemoryError, type ShardMemory } from '@sunstar/runtime';
import { shardOfSlot, slotOf } from '../slots.js';
import { type EntryVisitor, NEVER, NONE, type Store } from '../store/index.js';
import type { LogSink } from './record.js';

/** Whose keys a replay is about, when a log is read into another number of shards than it was written by. */
export interface Resharding {
  /** The shard that replays, and how many there are now. */
  readonly shard: number;
  readonly shardCount: number;
  /** The shard whose log is read, and how many there were. */
  readonly oldShard: number;
  readonly oldShardCount: number;
}

/** Brings a store back from its log. The store must have no journal meanwhile. */
export class StoreSink implements LogSink {
  /** Set while logs of another epoch are read. */
  resharding: Resharding | null = null;
  readonly #store: Store;
  readonly #memory: ShardMemory;

  constructor(store: Store, memory: ShardMemory) {
    this.#store = store;
    this.#memory = memory;
  }

  set(
    keyOffset: number,
    keyBytes: number,
    valueOffset: number,
    valueBytes: number,
    expireAtMs: number,
  ): void {
    if (!this.#isMine(keyOffset, keyBytes)) return;
    const store = this.#store;
    // Expired since: what the key had before is gone all the same.
    if (expireAtMs !== NEVER && expireAtMs <= store.nowMs) this.#remove(keyOffset, keyBytes);
    else if (!store.set(keyOffset, keyBytes, valueOffset, valueBytes, expireAtMs)) {
      throw new OutOfMemoryError(keyBytes + valueBytes, this.#memory.stats().freeBytes);
    }
  }

  delete(keyOffset: number, keyBytes: number): void {
    if (this.#isMine(keyOffset, keyBytes)) this.#remove(keyOffset, keyBytes);
  }

  expire(keyOffset: number, keyBytes: number, expireAtMs: number): void {
    if (!this.#isMine(keyOffset, keyBytes)) return;
    const store = this.#store;
    const entry = store.find(keyOffset, keyBytes);
    if (entry === NONE) return;
    if (expireAtMs !== NEVER && expireAtMs <= store.nowMs) store.delete(entry);
    else store.expireAt(entry, expireAtMs);
  }

  flush(): void {
    if (this.resharding === null) this.#store.clear(true);
    else this.#removeKeysOf(this.resharding);
  }

  #isMine(keyOffset: number, keyBytes: number): boolean {
    const resharding = this.resharding;
    if (resharding === null) return true;
    const slot = slotOf(this.#memory.bytes, keyOffset, keyBytes);
    return shardOfSlot(slot, resharding.shardCount) === resharding.shard;
  }

  #remove(keyOffset: number, keyBytes: number): void {
    const entry = this.#store.find(keyOffset, keyBytes);
    if (entry !== NONE) this.#store.delete(entry);
  }

  /** A FLUSH in the log of one old shard concerns that shard's keys only. */
  #removeKeysOf({ oldShard, oldShardCount }: Resharding): void {
    const store = this.#store;
    const { entries } = store;
    const doomed: number[] = [];
    const visitor: EntryVisitor = {
      visit: (entry) => {
        const slot = slotOf(this.#memory.bytes, entries.keyOffset(entry), entries.keyLength(entry));
        if (shardOfSlot(slot, oldShardCount) === oldShard) doomed.push(entry);
      },
    };
    let cursor = 0;
    do cursor = store.scan(cursor, visitor);
    while (cursor !== 0);
    for (const entry of doomed) {
      // delete() takes what find() has just returned; an entry that has expired is gone with that.
      const found = store.find(entries.keyOffset(entry), entries.keyLength(entry));
      if (found !== NONE) store.delete(found);
    }
  }
}
