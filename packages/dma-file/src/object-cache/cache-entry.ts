import type { IOBuf } from '@sunstar/iobuf';
import type { CacheFile } from './options.js';

/** How many pins hold a place. */
export class PinCount {
  count = 0;
}

/** One object of the cache; in the list of those that may go, unless it is pinned or dirty. */
export class CacheEntry {
  readonly file: CacheFile;
  readonly offset: number;
  /** The cache's own share. */
  readonly content: IOBuf;
  /** How many bytes were asked for; the content is shorter at the end of a file. */
  readonly wantedBytes: number;
  readonly sizeBytes: number;
  /** Pins on the place; passed on to what replaces it. */
  pins: PinCount = new PinCount();
  isDirty = false;
  /** Whether it is being written. */
  isWriting = false;
  /** Whether it is still what the cache has at this place. */
  isCurrent = true;
  newer: CacheEntry | null = null;
  older: CacheEntry | null = null;
  isListed = false;

  constructor(file: CacheFile, offset: number, content: IOBuf, wantedBytes: number) {
    this.file = file;
    this.offset = offset;
    this.content = content;
    this.wantedBytes = wantedBytes;
    this.sizeBytes = content.sizeBytes;
  }

  get mayGo(): boolean {
    return this.pins.count === 0 && !this.isDirty && !this.isWriting;
  }
}

/** Entries by the time of their last use. */
export class LruList {
  #newest: CacheEntry | null = null;
  #oldest: CacheEntry | null = null;
  #size = 0;

  get oldest(): CacheEntry | null {
    return this.#oldest;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds an entry as the newest. */
  add(entry: CacheEntry): void {
    entry.isListed = true;
    entry.newer = null;
    entry.older = this.#newest;
    if (this.#newest === null) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    this.#size++;
  }

  remove(entry: CacheEntry): void {
    const { newer, older } = entry;
    if (newer === null) this.#newest = older;
    else newer.older = older;
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    entry.newer = null;
    entry.older = null;
    entry.isListed = false;
    this.#size--;
  }

  /** Makes an entry the newest. */
  touch(entry: CacheEntry): void {
    if (this.#newest === entry) return;
    this.remove(entry);
    this.add(entry);
  }

  /** All entries, the oldest first. */
  *[Symbol.iterator](): Generator<CacheEntry> {
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) yield entry;
  }
}
