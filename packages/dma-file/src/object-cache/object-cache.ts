import type { IOBuf } from '@sunstar/iobuf';
import { type MemoryGroup, SunstarError } from '@sunstar/runtime';
import { checkOffset } from '../errors.js';
import { CacheEntry, LruList } from './cache-entry.js';
import { cacheClosedError, cacheDirtyError, cacheFullError, notCachedError } from './errors.js';
import { type Loader, Loads } from './loads.js';
import {
  type CacheFile,
  type ObjectCacheOptions,
  type ResolvedCacheOptions,
  resolveCacheOptions,
} from './options.js';
import { PlaceMap } from './place-map.js';
import { ReclaimSize } from './reclaim-size.js';
import { CacheCounters, type ObjectCacheStats } from './stats.js';
import { WriteBack } from './write-back.js';

/** Keeps an object in the cache until it is disposed; doing that again does nothing. */
export interface Pin extends Disposable {
  readonly isReleased: boolean;
}

/**
 * Objects of files by their place, ready to be sent: what O_DIRECT takes away with the page cache. It belongs to one
 * shard, and gives out shares of what it holds, without a copy.
 *
 * The least recently used object goes first. Pinned and dirty ones do not go. What is loaded lies in a memory group
 * with a limit, so the cache cannot take more than its part, and it gives memory back when the shard runs short.
 * After Redpanda's batch cache.
 */
export class ObjectCache implements AsyncDisposable {
  readonly #options: ResolvedCacheOptions;
  readonly #group: MemoryGroup;
  readonly #objects = new PlaceMap<CacheEntry>();
  readonly #loads: Loads;
  readonly #lru = new LruList();
  readonly #dirty = new Set<CacheEntry>();
  readonly #counters = new CacheCounters();
  readonly #writeBack: WriteBack;
  readonly #reclaimSize: ReclaimSize;
  #usedBytes = 0;
  #dirtyBytes = 0;
  #closing: Promise<void> | null = null;
  #pinned = 0;
  #isClosed = false;

  /** @throws SunstarError SUNSTAR_INVALID_OPTION, SUNSTAR_INVALID_SIZE; SUNSTAR_GROUP_EXISTS for a second one of a name */
  constructor(options: ObjectCacheOptions = {}) {
    this.#options = resolveCacheOptions(options);
    const { name, limitBytes, reservation, memory, nowMs } = this.#options;
    this.#group = memory.group(name, { limit: limitBytes, reservation });
    this.#loads = new Loads({
      memory,
      group: this.#group,
      limitBytes,
      counters: this.#counters,
      keep: (file, offset, content, length) => this.#keep(file, offset, content, length),
    });
    this.#writeBack = new WriteBack(
      {
        // async: an exception of the application's function is a rejection like any other.
        write: async (entry) => this.#options.write(entry.file, entry.offset, entry.content),
        writingChanged: (entry) => this.#writingChanged(entry),
        written: (entry) => {
          if (entry.isDirty) this.#markClean(entry);
        },
      },
      this.#counters,
    );
    this.#reclaimSize = new ReclaimSize(nowMs);
    this.#group.addReclaimer((needBytes) => this.#reclaim(needBytes), { name });
    this.#group.addAsyncReclaimer((needBytes) => this.#cleanAndReclaim(needBytes), {
      name: `${name}, dirty`,
    });
  }

  get stats(): ObjectCacheStats {
    return {
      name: this.#options.name,
      entries: this.#objects.size,
      usedBytes: this.#usedBytes,
      limitBytes: this.#options.limitBytes,
      pinnedEntries: this.#pinned,
      dirtyEntries: this.#dirty.size,
      dirtyBytes: this.#dirtyBytes,
      ...this.#counters,
    };
  }

  /** The object at a place, if it is there: a share, which the caller disposes. */
  get(file: CacheFile, offset: number): IOBuf | undefined {
    const entry = this.#objects.get(file, offset);
    if (entry === undefined) return undefined;
    this.#counters.hits++;
    if (entry.isListed) this.#lru.touch(entry);
    return entry.content.share();
  }

  /** Whether an object is there; counts as no use of it. */
  has(file: CacheFile, offset: number): boolean {
    return this.#objects.get(file, offset) !== undefined;
  }

  /**
   * `length` bytes of a file from `offset`, from the cache or read with `file.read` and kept. However many ask at the
   * same time, it is read once. More than what is kept there is read from the file: {@link flush} a dirty object before.
   *
   * @returns A share, which the caller disposes; shorter at the end of the file.
   */
  read(file: CacheFile, offset: number, length: number): Promise<IOBuf> {
    return this.load(file, offset, length, (memory) => file.read(offset, length, { memory }));
  }

  /** As {@link read}, with a function that loads the object and may decode it. */
  async load(file: CacheFile, offset: number, length: number, loader: Loader): Promise<IOBuf> {
    checkOffset('The offset', offset);
    checkOffset('The length', length);
    if (this.#isClosed) throw cacheClosedError(this.#options.name);
    const entry = this.#objects.get(file, offset);
    if (entry !== undefined && entry.wantedBytes >= length) {
      this.#counters.hits++;
      if (entry.isListed) this.#lru.touch(entry);
      return entry.content.share(0, Math.min(length, entry.sizeBytes));
    }
    const joined = this.#loads.join(file, offset, length);
    if (joined !== undefined) {
      this.#counters.joined++;
      return joined;
    }
    this.#counters.misses++;
    return this.#loads.begin(file, offset, length, loader);
  }

  /**
   * Keeps a share of an object that the caller has made or read. It replaces what was there.
   *
   * @param options - `dirty`: it is newer than the file; it is kept until {@link flush} has written it. What replaces
   * an object that is being written is always dirty: that write may reach the file after the caller's own.
   * @returns Whether it is kept. Clean objects are not when there is no room.
   * @throws SunstarError SUNSTAR_CACHE_FULL for a dirty one without room; what was there before stays.
   */
  put(file: CacheFile, offset: number, content: IOBuf, options: { dirty?: boolean } = {}): boolean {
    checkOffset('The offset', offset);
    const { name, limitBytes, maxDirtyBytes } = this.#options;
    if (this.#isClosed) throw cacheClosedError(name);
    const isDirty = options.dirty === true || this.#writeBack.isWriting(file, offset);
    const { sizeBytes } = content;
    const before = this.#objects.get(file, offset);
    const dirtyBefore = before?.isDirty === true ? before.sizeBytes : 0;
    const isTooDirty = isDirty && this.#dirtyBytes - dirtyBefore + sizeBytes > maxDirtyBytes;
    if (isTooDirty || !this.#makeRoom(sizeBytes, before)) {
      if (isDirty) throw cacheFullError(name, sizeBytes, limitBytes);
      return false;
    }
    this.#loads.forget(file, offset);
    const entry = new CacheEntry(file, offset, content.share(), sizeBytes);
    this.#insert(entry, before);
    if (isDirty) this.#markDirty(entry);
    return true;
  }

  /**
   * Keeps an object from going until the pin is disposed. {@link put} replaces pinned objects, {@link invalidate}
   * removes them.
   *
   * @throws SunstarError SUNSTAR_NOT_CACHED
   */
  pin(file: CacheFile, offset: number): Pin {
    const entry = this.#objects.get(file, offset);
    if (entry === undefined) throw notCachedError(this.#options.name, file.path, offset);
    const { pins } = entry;
    if (pins.count++ === 0) this.#pinned++;
    this.#relist(entry);
    let isReleased = false;
    return {
      get isReleased() {
        return isReleased;
      },
      [Symbol.dispose]: () => {
        if (isReleased) return;
        isReleased = true;
        pins.count--;
        const present = this.#objects.get(file, offset);
        // What was forgotten meanwhile has taken its pins with it.
        if (present?.pins !== pins || pins.count > 0) return;
        this.#pinned--;
        this.#relist(present);
      },
    };
  }

  /**
   * Writes all dirty objects, of one file or of all, a few at a time, by rising offset. One that is replaced
   * meanwhile is written again by the next flush. To make them durable, sync the file afterwards.
   *
   * @throws What the first failed write failed with, after the last one; those objects stay dirty.
   */
  async flush(file?: CacheFile): Promise<void> {
    const chosen = [...this.#dirty].filter((entry) => file === undefined || entry.file === file);
    const errors = await this.#writeBack.writeAll(chosen.sort((a, b) => a.offset - b.offset));
    if (errors.length > 0) throw errors[0];
  }

  /**
   * Forgets the objects of a file that begin in a range, dirty and pinned ones, too; for what was written past the
   * cache, truncated or deleted. Loads under way are not kept; a write under way still reaches the file, so flush
   * before.
   *
   * @returns How many were forgotten.
   */
  invalidate(file: CacheFile, from = 0, to: number = Number.POSITIVE_INFINITY): number {
    this.#loads.distrust(file, from, to);
    const entries = this.#objects.within(file, from, to);
    for (const entry of entries) this.#drop(entry);
    return entries.length;
  }

  /** Writes what is dirty, forgets everything and ends the memory group. Shares that were given out go first. */
  close(): Promise<void> {
    this.#closing ??= this.#close().catch((error: unknown) => {
      // What could not be written is still there: it may be tried again.
      this.#closing = null;
      throw error;
    });
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.flush();
    if (this.#dirty.size > 0) throw cacheDirtyError(this.#options.name, this.#dirty.size);
    this.#isClosed = true;
    this.#loads.distrustAll();
    for (const file of this.#objects.files()) this.invalidate(file);
    await this.#writeBack.settle();
    this.#group.close();
  }

  /** As {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #keep(file: CacheFile, offset: number, content: IOBuf, length: number): void {
    if (this.#isClosed) return;
    const before = this.#objects.get(file, offset);
    if (before?.isDirty === true || before?.isWriting === true || !this.#makeRoom(content.sizeBytes, before))
      return;
    this.#insert(new CacheEntry(file, offset, content.share(), length), before);
  }

  /** Lets old objects go until one of this size fits in the place of another; false when it cannot. */
  #makeRoom(sizeBytes: number, replaced: CacheEntry | undefined): boolean {
    const { limitBytes, maxEntries } = this.#options;
    const freedBytes = replaced?.sizeBytes ?? 0;
    const freedEntries = replaced === undefined ? 0 : 1;
    if (sizeBytes > limitBytes) return false;
    while (
      this.#usedBytes - freedBytes + sizeBytes > limitBytes ||
      this.#objects.size - freedEntries >= maxEntries
    ) {
      let oldest = this.#lru.oldest;
      if (oldest === replaced && oldest !== null) oldest = oldest.newer;
      if (oldest === null) return false;
      this.#evict(oldest);
    }
    return true;
  }

  /** Puts an entry at its place, where another one may have been. Pins are on the place and stay. */
  #insert(entry: CacheEntry, before: CacheEntry | undefined): void {
    if (before !== undefined) {
      entry.pins = before.pins;
      this.#drop(before);
    }
    if (entry.pins.count > 0) this.#pinned++;
    this.#objects.set(entry.file, entry.offset, entry);
    this.#usedBytes += entry.sizeBytes;
    this.#relist(entry);
  }

  #drop(entry: CacheEntry): void {
    this.#objects.remove(entry.file, entry.offset, entry);
    entry.isCurrent = false;
    if (entry.isListed) this.#lru.remove(entry);
    if (entry.isDirty) this.#markClean(entry);
    if (entry.pins.count > 0) this.#pinned--;
    this.#usedBytes -= entry.sizeBytes;
    // One that is being written is disposed when that is over.
    if (!entry.isWriting) entry.content[Symbol.dispose]();
  }

  #evict(entry: CacheEntry): void {
    this.#counters.evictions++;
    this.#counters.evictedBytes += entry.sizeBytes;
    this.#drop(entry);
  }

  /** Puts an entry on the list of those that may go, or takes it off. */
  #relist(entry: CacheEntry): void {
    const { mayGo } = entry;
    if (mayGo === entry.isListed || !entry.isCurrent) return;
    if (mayGo) this.#lru.add(entry);
    else this.#lru.remove(entry);
  }

  #markDirty(entry: CacheEntry): void {
    entry.isDirty = true;
    this.#dirty.add(entry);
    this.#dirtyBytes += entry.sizeBytes;
    this.#relist(entry);
  }

  #markClean(entry: CacheEntry): void {
    entry.isDirty = false;
    this.#dirty.delete(entry);
    this.#dirtyBytes -= entry.sizeBytes;
    this.#relist(entry);
  }

  #writingChanged(entry: CacheEntry): void {
    if (entry.isCurrent) this.#relist(entry);
    else if (!entry.isWriting) entry.content[Symbol.dispose]();
  }

  /** Called inside of an allocation that found no memory. */
  #reclaim(needBytes: number): number {
    const wanted = this.#reclaimSize.next(needBytes);
    let freed = 0;
    for (let oldest = this.#lru.oldest; oldest !== null && freed < wanted; oldest = this.#lru.oldest) {
      freed += oldest.sizeBytes;
      this.#evict(oldest);
    }
    this.#counters.reclaims++;
    this.#counters.reclaimedBytes += freed;
    return freed;
  }

  /** In the background: what is dirty is written, so that it may go. */
  async #cleanAndReclaim(needBytes: number): Promise<number> {
    if (this.#dirty.size === 0) return 0;
    const chosen: CacheEntry[] = [];
    let bytes = 0;
    for (const entry of this.#dirty) {
      if (bytes >= needBytes) break;
      chosen.push(entry);
      bytes += entry.sizeBytes;
    }
    const errors = await this.#writeBack.writeAll(chosen);
    if (errors.length > 0) throw errors[0];
    return this.#reclaim(needBytes);
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    const check = (holds: boolean, what: string): void => {
      if (!holds) throw new SunstarError('SUNSTAR_INVARIANT', `ObjectCache: broken: ${what}.`);
    };
    const { limitBytes, maxEntries, maxDirtyBytes } = this.#options;
    let [entries, used, dirty, pinned, listed] = [0, 0, 0, 0, 0];
    for (const entry of this.#objects.all()) {
      check(
        entry.isCurrent && this.#objects.get(entry.file, entry.offset) === entry,
        'an object knows its place',
      );
      check(entry.isListed === entry.mayGo, 'objects that may go are listed');
      check(entry.isDirty === this.#dirty.has(entry), 'dirty objects are known');
      check(!entry.content.isDisposed && entry.content.sizeBytes === entry.sizeBytes, 'content is there');
      entries++;
      used += entry.sizeBytes;
      if (entry.isDirty) dirty += entry.sizeBytes;
      if (entry.pins.count > 0) pinned++;
      if (entry.isListed) listed++;
    }
    check([...this.#lru].length === listed && this.#lru.size === listed, 'the list has what may go');
    check(entries === this.#objects.size && used === this.#usedBytes, 'objects and bytes add up');
    check(dirty === this.#dirtyBytes && pinned === this.#pinned, 'dirty and pinned ones add up');
    check(used <= limitBytes && entries <= maxEntries && dirty <= maxDirtyBytes, 'limits are kept');
  }
}
