import { Entries, NEVER, VALUE_BYTES_MAX } from './entries.js';
import { ExpiryWheel } from './expiry-wheel.js';
import { type EntryVisitor, HashTable, wordOf } from './hash-table.js';
import { type Journal, NO_JOURNAL } from './journal.js';
import { KeyHash } from './key-hash.js';
import type { StoreOptions, StoreStats } from './options.js';
import { RetiredTables } from './retired-tables.js';
import { NONE, type StoreArena, StoreMemory } from './store-memory.js';
import { verifyStore } from './verify.js';

/**
 * The keys and values of one shard, in arena memory.
 *
 * Keys are ranges of the arena, at most KEY_BYTES_MAX long; the caller keeps them in place during a call. An
 * entry is a number that stands for a key and its value until the store changes. Methods that write return
 * false, or NONE, when there is no memory (or no room in the journal), and then nothing has changed. No method
 * makes JavaScript objects, and none takes longer the more keys there are, but for `clear` and `invariants`.
 *
 * Expired keys are never seen: `find` removes them when it meets them, `maintain` finds the others.
 * Belongs to one shard; not reentrant.
 */
export class Store {
  /** Reads entries. Do not write through it. */
  readonly entries: Entries;
  /** Wall-clock time in ms since 1970. The owner sets it before each batch of commands. */
  nowMs: number = Date.now();
  /** Receives the changes from now on. */
  journal: Journal = NO_JOURNAL;

  readonly #memory: StoreMemory;
  readonly #int32: Int32Array;
  readonly #hash: KeyHash;
  readonly #wheel: ExpiryWheel;
  readonly #random: () => number;
  readonly #expiredVisitor: EntryVisitor;
  readonly #retired: RetiredTables;
  #table: HashTable;
  #payloadBytes = 0;
  #hits = 0;
  #misses = 0;
  #expired = 0;
  /** Set by #locate: hash of the key, and the link that holds its entry. */
  #keyHash = 0;
  #link = 0;

  /** @throws OutOfMemoryError when there is no room for an empty table (16 KiB). */
  constructor(memory: StoreArena, options: StoreOptions = {}) {
    const maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY;
    this.#memory = new StoreMemory(memory, maxBytes, () => this.#retired.reclaim());
    this.#int32 = this.#memory.int32;
    this.#hash = new KeyHash(memory.bytes, memory.arena.view, options.hashSeed);
    this.#random = options.random ?? Math.random;
    this.entries = new Entries(this.#memory);
    this.#retired = new RetiredTables(this.entries);
    this.#wheel = new ExpiryWheel(this.#memory);
    this.#table = new HashTable(this.#memory);
    this.#expiredVisitor = { visit: (entry) => this.#removeExpired(entry, this.#table.linkTo(entry)) };
  }

  /** Number of keys, those that have expired unnoticed included. */
  get size(): number {
    return this.#table.size;
  }

  /** Number of keys that will expire. */
  get expiringCount(): number {
    return this.#wheel.size;
  }

  /** Arena bytes that the store holds. */
  get usedBytes(): number {
    return this.#memory.usedBytes;
  }

  /** Limit of `usedBytes`. Lowering it below what is used deletes nothing: writes fail until it fits. */
  get maxBytes(): number {
    return this.#memory.maxBytes;
  }

  set maxBytes(bytes: number) {
    this.#memory.maxBytes = bytes;
  }

  /** Sum of the lengths of all keys and values. */
  get payloadBytes(): number {
    return this.#payloadBytes;
  }

  get stats(): StoreStats {
    return { hits: this.#hits, misses: this.#misses, expired: this.#expired };
  }

  /** Sets the counters in `stats` back to zero. */
  resetStats(): void {
    this.#hits = 0;
    this.#misses = 0;
    this.#expired = 0;
  }

  /** The entry of a key, or NONE. */
  find(keyOffset: number, keyLength: number): number {
    const entry = this.#locate(keyOffset, keyLength);
    if (entry === NONE || !this.isExpired(entry)) return entry;
    this.#wheel.remove(entry);
    this.#removeExpired(entry, this.#link);
    return NONE;
  }

  /** As {@link find}, and counts a hit or a miss: for commands that read. */
  lookup(keyOffset: number, keyLength: number): number {
    const entry = this.find(keyOffset, keyLength);
    if (entry === NONE) this.#misses++;
    else this.#hits++;
    return entry;
  }

  /** Sets a key, whatever was there. */
  set(
    keyOffset: number,
    keyLength: number,
    valueOffset: number,
    valueLength: number,
    expireAtMs: number,
  ): boolean {
    const entry = this.#locate(keyOffset, keyLength);
    return this.assign(entry, keyOffset, keyLength, valueOffset, valueLength, expireAtMs);
  }

  /**
   * As {@link set}, without a second look-up.
   *
   * @param entry - What {@link find} returned for this key; nothing has changed the store since.
   */
  assign(
    entry: number,
    keyOffset: number,
    keyLength: number,
    valueOffset: number,
    valueLength: number,
    expireAtMs: number,
  ): boolean {
    const { entries, journal } = this;
    if (valueLength > VALUE_BYTES_MAX || !journal.admit(1, keyLength + valueLength)) return false;
    if (entry !== NONE && entries.fitsInPlace(entry, valueLength)) {
      this.#payloadBytes += valueLength - entries.valueLength(entry);
      entries.overwrite(entry, valueOffset, valueLength);
      if (expireAtMs !== entries.expireAtMs(entry)) this.#setExpiry(entry, expireAtMs);
      journal.set(entry);
      return true;
    }
    const created = entries.create(this.#keyHash, keyOffset, keyLength, valueLength);
    if (created === NONE) return false;
    entries.setExpireAtMs(created, expireAtMs);
    entries.write(created, 0, valueOffset, valueLength);
    this.#put(entry, created);
    journal.set(created);
    return true;
  }

  /**
   * Allocates an entry for a key and a value whose bytes come later, by {@link write}; then {@link commit} sets
   * the key, or {@link discard} gives the memory back. For values that arrive in pieces, and for several keys of
   * which all or none shall be set.
   *
   * @returns The entry, not yet visible; NONE when there is no memory.
   */
  prepare(keyOffset: number, keyLength: number, valueLength: number, expireAtMs: number): number {
    if (valueLength > VALUE_BYTES_MAX) return NONE;
    const entry = this.entries.create(this.#hash.of(keyOffset, keyLength), keyOffset, keyLength, valueLength);
    if (entry !== NONE) this.entries.setExpireAtMs(entry, expireAtMs);
    return entry;
  }

  /** Gives a prepared entry back. */
  discard(prepared: number): void {
    this.entries.release(prepared);
  }

  /** Sets the key of a prepared entry. Never fails; the journal's `admit` is the caller's business. */
  commit(prepared: number): void {
    const keyOffset = this.entries.keyOffset(prepared);
    this.#put(this.#locate(keyOffset, this.entries.keyLength(prepared)), prepared);
    this.journal.set(prepared);
  }

  /**
   * Makes the value longer, the new bytes zero.
   *
   * @param entry - What {@link find} has just returned.
   * @param newLength - The present length or more.
   * @returns The entry as it is now; the caller writes to it and then calls {@link changed}.
   */
  grow(entry: number, newLength: number): number {
    const { entries } = this;
    if (newLength > VALUE_BYTES_MAX) return NONE;
    if (!this.journal.admit(1, entries.keyLength(entry) + newLength)) return NONE;
    const oldLength = entries.valueLength(entry);
    const grown = entries.grow(entry, newLength);
    if (grown === NONE) return NONE;
    if (grown !== entry) {
      this.#table.replace(this.#link, grown);
      if (this.#wheel.has(entry)) {
        this.#wheel.remove(entry);
        this.#wheel.add(grown, this.nowMs);
      }
      // A value that has moved into chunks was copied; chunks that were there have only a new owner.
      entries.releaseBlock(entry);
    }
    this.#payloadBytes += newLength - oldLength;
    entries.fillZero(grown, oldLength, newLength - oldLength);
    return grown;
  }

  /**
   * Sets a key that {@link find} has just not found to zero bytes.
   *
   * @returns The entry; the caller writes to it and then calls {@link changed}. NONE when there is no memory.
   */
  setZeros(keyOffset: number, keyLength: number, valueLength: number): number {
    if (!this.journal.admit(1, keyLength + valueLength)) return NONE;
    const entry = this.prepare(keyOffset, keyLength, valueLength, NEVER);
    if (entry === NONE) return NONE;
    this.entries.fillZero(entry, 0, valueLength);
    this.#insert(entry);
    return entry;
  }

  /** Overwrites a part of an entry's value; then {@link changed} must be called, unless it is a prepared one. */
  write(entry: number, position: number, sourceOffset: number, length: number): void {
    this.entries.write(entry, position, sourceOffset, length);
  }

  /** Reports an entry whose value {@link grow} and {@link write} have changed. */
  changed(entry: number): void {
    this.journal.set(entry);
  }

  /** Changes when an entry expires; NEVER for not at all. False when the journal has no room. */
  expireAt(entry: number, expireAtMs: number): boolean {
    const { entries, journal } = this;
    if (!journal.admit(1, entries.keyLength(entry) + entries.valueLength(entry))) return false;
    this.#setExpiry(entry, expireAtMs);
    journal.expire(entry);
    return true;
  }

  /** Removes an entry that {@link find} has just returned. False when the journal has no room. */
  delete(entry: number): boolean {
    const { entries, journal } = this;
    const keyLength = entries.keyLength(entry);
    if (!journal.admit(1, keyLength)) return false;
    journal.delete(entries.keyOffset(entry), keyLength);
    this.#wheel.remove(entry);
    this.#remove(entry, this.#link);
    return true;
  }

  /**
   * Moves the value and the expiry of an entry to another key, which loses its own.
   *
   * @param source - What {@link find} has just returned; its key is not the new one.
   */
  rename(source: number, keyOffset: number, keyLength: number): boolean {
    const { entries, journal } = this;
    const oldKeyLength = entries.keyLength(source);
    if (!journal.admit(2, oldKeyLength + keyLength + entries.valueLength(source))) return false;
    const hash = this.#hash.of(keyOffset, keyLength);
    const renamed = entries.createRenamed(source, hash, keyOffset, keyLength);
    if (renamed === NONE) return false;
    this.#put(this.#locate(keyOffset, keyLength), renamed);
    journal.set(renamed);
    journal.delete(entries.keyOffset(source), oldKeyLength);
    this.#wheel.remove(source);
    this.#payloadBytes -= oldKeyLength + entries.valueLength(source);
    this.#table.remove(this.#table.linkTo(source));
    entries.releaseBlock(source);
    return true;
  }

  /**
   * Removes all keys at once. Their memory is freed bit by bit in {@link maintain}, or when an allocation needs it.
   *
   * @param now - Free it here instead, which takes time in proportion to the number of keys.
   * @returns False when the journal has no room.
   */
  clear(now: boolean): boolean {
    if (!this.journal.admit(1, 0)) return false;
    this.#wheel.clear();
    this.#payloadBytes = 0;
    this.#retired.add(this.#table);
    // Memory may be full: then the old table gives way to the new one.
    this.#table = new HashTable(this.#memory);
    if (now) this.#retired.dismantleAll();
    this.journal.flush();
    return true;
  }

  /**
   * Visits the entries of one bucket, those that have expired excepted.
   *
   * @param cursor - 0 to begin, then what the last call returned; see {@link HashTable.scan} for what is promised.
   * @returns 0 when that was the last bucket.
   */
  scan(cursor: number, visitor: EntryVisitor): number {
    return this.#table.scan(cursor, visitor);
  }

  /** Whether the time of an entry that a scan has visited has come. */
  isExpired(entry: number): boolean {
    const expireAtMs = this.entries.expireAtMs(entry);
    return expireAtMs !== NEVER && expireAtMs <= this.nowMs;
  }

  /** A random entry, or NONE when there is no key. */
  randomEntry(): number {
    for (;;) {
      const entry = this.#table.randomEntry(this.#random);
      if (entry === NONE || !this.isExpired(entry)) return entry;
      this.#wheel.remove(entry);
      this.#removeExpired(entry, this.#table.linkTo(entry));
    }
  }

  /**
   * Removes keys that have expired and frees what `clear` has left. Call it about ten times a second.
   *
   * @param budget - Bounds the work, about 100 ns each.
   * @returns Whether there is more to do.
   */
  maintain(budget: number): boolean {
    const left = this.#wheel.advance(this.nowMs, budget, this.#expiredVisitor);
    return left === 0 || this.#retired.dismantle(left) === 0;
  }

  /** Gives all memory back. The store must not be used any more. */
  dispose(): void {
    this.#memory.detach();
    this.#retired.add(this.#table);
    this.#retired.dismantleAll();
  }

  /** Throws unless index, expiry wheel and counters agree. For tests: slow. */
  invariants(): void {
    verifyStore(this.#table, this.#wheel, this.entries, this.#hash, this.#payloadBytes);
  }

  /** Finds the entry of a key, expired or not, and leaves its hash and link behind. */
  #locate(keyOffset: number, keyLength: number): number {
    const int32 = this.#int32;
    const hash = this.#hash.of(keyOffset, keyLength);
    let link = this.#table.linkOf(hash);
    let entry = int32[link];
    while (entry !== NONE && !this.entries.hasKey(entry, hash, keyOffset, keyLength)) {
      // NEXT_WORD is 0: the link is the entry's first word.
      link = wordOf(entry);
      entry = int32[link];
    }
    this.#keyHash = hash;
    this.#link = link;
    return entry;
  }

  /** Makes an entry visible, in the place of `old` if #locate has just found one. */
  #put(old: number, entry: number): void {
    if (old === NONE) this.#insert(entry);
    else this.#replace(old, entry);
  }

  #insert(entry: number): void {
    this.#payloadBytes += this.entries.keyLength(entry) + this.entries.valueLength(entry);
    if (this.entries.expireAtMs(entry) !== NEVER) this.#wheel.add(entry, this.nowMs);
    this.#table.insert(entry);
  }

  /** Puts `entry` in the place of `old`, which #locate has just found. */
  #replace(old: number, entry: number): void {
    this.#table.replace(this.#link, entry);
    this.#payloadBytes += this.entries.valueLength(entry) - this.entries.valueLength(old);
    this.#wheel.remove(old);
    if (this.entries.expireAtMs(entry) !== NEVER) this.#wheel.add(entry, this.nowMs);
    this.entries.release(old);
  }

  /** Unlinks an entry that is not in the wheel any more, and frees it. */
  #remove(entry: number, link: number): void {
    this.#payloadBytes -= this.entries.keyLength(entry) + this.entries.valueLength(entry);
    this.#table.remove(link);
    this.entries.release(entry);
  }

  #removeExpired(entry: number, link: number): void {
    this.#expired++;
    this.#remove(entry, link);
  }

  #setExpiry(entry: number, expireAtMs: number): void {
    this.#wheel.remove(entry);
    this.entries.setExpireAtMs(entry, expireAtMs);
    if (expireAtMs !== NEVER) this.#wheel.add(entry, this.nowMs);
  }
}
