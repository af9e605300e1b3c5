import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { attach } from '@sunstar/runtime';
import { type DirectoryPlan, shardDirectory } from '../../src/log/data-directory.ts';
import type { LogShard } from '../../src/log/shard-log.ts';
import { ShardStorage, type StorageOptions } from '../../src/log/shard-storage.ts';
import { NEVER, NONE, Store } from '../../src/store/index.ts';

export const shard = attach({ memory: '256MiB', log: 'silent' });
const scratch = shard.memory.allocate(1024 * 1024);
const VALUE_AT = 1024;

/** A directory that the caller removes. */
export function temporaryDirectory(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'sunstar-kv-'));
}

export function planOf(directory: string, changes: Partial<DirectoryPlan> = {}): DirectoryPlan {
  const plan: DirectoryPlan = { path: directory, epoch: 1, shards: 1, previous: undefined, ...changes };
  for (let id = 0; id < plan.shards; id++) {
    fs.mkdirSync(shardDirectory(directory, plan.epoch, id), { recursive: true });
  }
  return plan;
}

/** A store and its log, driven with strings. */
export class TestStorage {
  readonly store: Store;
  readonly storage: ShardStorage;

  constructor(store: Store, storage: ShardStorage) {
    this.store = store;
    this.storage = storage;
  }

  static async open(
    plan: DirectoryPlan,
    options: Partial<Omit<StorageOptions, 'plan'>> & { id?: number } = {},
  ): Promise<TestStorage> {
    const store = new Store(shard.memory);
    const { reactor, memory, log } = shard;
    const self: LogShard = { id: options.id ?? 0, reactor, memory, log };
    const storage = await ShardStorage.open(
      self,
      store,
      {
        plan,
        fsync: 'always',
        repair: false,
        compactionMinBytes: Number.MAX_SAFE_INTEGER,
        compactionFactor: 2,
        ...options,
      },
      () => {},
    );
    return new TestStorage(store, storage);
  }

  /** Sets a key as one command; returns the position that it is durable at. */
  set(key: string, value: string, expireAtMs = NEVER): number {
    const { bytes } = shard.memory;
    const keyLength = bytes.write(key, scratch, 'latin1');
    const valueLength = bytes.write(value, scratch + VALUE_AT, 'latin1');
    if (!this.store.set(scratch, keyLength, scratch + VALUE_AT, valueLength, expireAtMs)) {
      throw new Error('no memory');
    }
    return this.storage.log.endCommand();
  }

  delete(key: string): number {
    const entry = this.#find(key);
    if (entry !== NONE) this.store.delete(entry);
    return this.storage.log.endCommand();
  }

  expire(key: string, expireAtMs: number): number {
    const entry = this.#find(key);
    if (entry !== NONE) this.store.expireAt(entry, expireAtMs);
    return this.storage.log.endCommand();
  }

  /** Moves a value: two changes in one record. */
  rename(from: string, to: string): number {
    const source = this.#find(from);
    if (source !== NONE && from !== to) {
      this.store.rename(source, scratch, shard.memory.bytes.write(to, scratch, 'latin1'));
    }
    return this.storage.log.endCommand();
  }

  clear(): number {
    this.store.clear(false);
    return this.storage.log.endCommand();
  }

  content(): Record<string, string> {
    return contentOf(this.store);
  }

  /** Closes as a crash would: without a flush, a seal or a cut. The files are taken from a copy. */
  async discard(): Promise<void> {
    await this.storage.close();
    this.store.clear(true);
  }

  #find(key: string): number {
    return this.store.find(scratch, shard.memory.bytes.write(key, scratch, 'latin1'));
  }
}

/** All keys with their values and expiries. */
export function contentOf(store: Store): Record<string, string> {
  const { entries } = store;
  const { bytes } = shard.memory;
  const content: [string, string][] = [];
  let cursor = 0;
  do {
    cursor = store.scan(cursor, {
      visit: (entry) => {
        const keyAt = entries.keyOffset(entry);
        let value = '';
        for (let piece = 0; piece < entries.pieceCount(entry); piece++) {
          const at = entries.pieceOffset(entry, piece);
          value += bytes.toString('latin1', at, at + entries.pieceLength(entry, piece));
        }
        const key = bytes.toString('latin1', keyAt, keyAt + entries.keyLength(entry));
        content.push([key, `${entries.expireAtMs(entry)}:${value}`]);
      },
    });
  } while (cursor !== 0);
  return Object.fromEntries(content.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A small deterministic generator of random numbers (mulberry32). */
export function randomSource(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const FAR = 4_102_444_800_000;

/** Runs one random command; returns its position. */
export function randomCommand(kv: TestStorage, random: (below: number) => number, serial: number): number {
  const key = `key-${random(40)}`;
  const choice = random(100);
  if (choice < 60)
    return kv.set(key, `${serial}`.padEnd(random(200), '.'), choice < 10 ? FAR + serial : NEVER);
  if (choice < 61) return kv.set(key, `${serial}`.padEnd(70_000, '*'));
  if (choice < 80) return kv.delete(key);
  if (choice < 90) return kv.rename(key, `key-${random(40)}`);
  if (choice < 99) return kv.expire(key, random(2) === 0 ? NEVER : FAR - serial);
  return kv.clear();
}
