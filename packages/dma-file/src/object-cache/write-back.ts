import type { CacheEntry } from './cache-entry.js';
import type { CacheFile } from './options.js';
import { PlaceMap } from './place-map.js';
import type { CacheCounters } from './stats.js';

/** Dirty objects that are written at the same time. */
const WRITERS = 8;

/** What the write-back needs of the cache. */
export interface WriteBackHost {
  write(entry: CacheEntry): Promise<unknown>;
  /** Whether an entry is being written has changed. */
  writingChanged(entry: CacheEntry): void;
  /** What the entry has is in the file now. */
  written(entry: CacheEntry): void;
}

/** Writes dirty objects, several at a time, but those of one place one after the other, in the order of their making. */
export class WriteBack {
  readonly #host: WriteBackHost;
  readonly #counters: CacheCounters;
  /** The write under way at a place; it never rejects. */
  readonly #writes = new PlaceMap<Promise<void>>();

  constructor(host: WriteBackHost, counters: CacheCounters) {
    this.#host = host;
    this.#counters = counters;
  }

  /** Writes entries as far as they are dirty, and waits for writes of theirs under way. @returns What went wrong. */
  async writeAll(entries: readonly CacheEntry[]): Promise<unknown[]> {
    const errors: unknown[] = [];
    let next = 0;
    const writer = async (): Promise<void> => {
      while (next < entries.length) {
        const entry = entries[next++];
        try {
          await this.#write(entry);
        } catch (error) {
          errors.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(WRITERS, entries.length) }, writer));
    return errors;
  }

  /** Whether a write at a place is under way. */
  isWriting(file: CacheFile, offset: number): boolean {
    return this.#writes.get(file, offset) !== undefined;
  }

  /** Waits for the writes that are under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#writes.all());
  }

  async #write(entry: CacheEntry): Promise<void> {
    const { file, offset } = entry;
    // An older object of the same place must not arrive after a newer one.
    for (
      let other = this.#writes.get(file, offset);
      other !== undefined;
      other = this.#writes.get(file, offset)
    ) {
      await other;
    }
    // Replaced, forgotten, or written by somebody else meanwhile.
    if (!entry.isDirty) return;
    entry.isWriting = true;
    this.#host.writingChanged(entry);
    const writing = this.#host.write(entry);
    const settled = writing.then(
      () => undefined,
      () => undefined,
    );
    this.#writes.set(file, offset, settled);
    try {
      await writing;
      this.#counters.writes++;
      this.#host.written(entry);
    } catch (error) {
      this.#counters.writeErrors++;
      throw error;
    } finally {
      this.#writes.remove(file, offset, settled);
      entry.isWriting = false;
      this.#host.writingChanged(entry);
    }
  }
}
