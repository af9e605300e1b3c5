import { OutOfMemoryError, SunstarError } from '@sunstar/runtime';
import { GRANULE_BYTES, NONE, type StoreMemory } from './store-memory.js';

/** Word of an entry that holds the next entry of its bucket, or NONE. */
export const NEXT_WORD = 0;
/** Word of an entry that holds the hash of its key. */
export const HASH_WORD = 1;

/** Int32 index of an entry's first word. */
export function wordOf(entry: number): number {
  return entry << 1;
}

const SEGMENT_BITS = 12;
const SEGMENT_BUCKETS = 1 << SEGMENT_BITS;
const SEGMENT_BYTES = SEGMENT_BUCKETS * 4;
const FIRST_SEGMENTS = 16;

// The number of buckets is the number of keys times something between these, but for the first segment.
const BUCKETS_PER_KEY_MIN = 2;
const BUCKETS_PER_KEY_MAX = 4;
// Splits per insertion and merges per removal: as many as keep the number of buckets within these limits.
const SPLITS = BUCKETS_PER_KEY_MIN;
const MERGES = BUCKETS_PER_KEY_MAX;

/** Receives the entries of a scan. It must not change the table. */
export interface EntryVisitor {
  visit(entry: number): void;
}

/**
 * A hash table of entries that are linked through themselves, resized by linear hashing (Litwin 1980): two
 * buckets are split for each key that comes, a few merged for each that goes, so no operation pays for a resize.
 *
 * With n buckets, 2^k < n ≤ 2^(k+1), the lowest k+1 bits of the hash name the bucket, or the lowest k where that
 * bucket does not exist yet. The bucket heads lie in arena segments of 16 KiB. When there is no memory for
 * another segment the chains grow longer instead: inserting never fails.
 *
 * An entry is a granule with two words that belong to the table: {@link NEXT_WORD} and {@link HASH_WORD}.
 */
export class HashTable {
  readonly #memory: StoreMemory;
  readonly #int32: Int32Array;
  /** Word index of the first bucket of each segment. */
  #segments: Int32Array = new Int32Array(FIRST_SEGMENTS);
  #segmentCount = 0;
  #bucketCount = SEGMENT_BUCKETS;
  /** 2^(k+1) − 1. */
  #mask = SEGMENT_BUCKETS - 1;
  #size = 0;

  /** @throws OutOfMemoryError when there is no room for the first 16 KiB. */
  constructor(memory: StoreMemory) {
    this.#memory = memory;
    this.#int32 = memory.int32;
    if (!this.#addSegment()) {
      throw new OutOfMemoryError(
        SEGMENT_BYTES,
        0,
        `A key-value store needs at least ${SEGMENT_BYTES} free bytes. Start with more memory.`,
      );
    }
  }

  /** Number of entries. */
  get size(): number {
    return this.#size;
  }

  get bucketCount(): number {
    return this.#bucketCount;
  }

  /**
   * The word that holds the first entry of the hash's bucket. A link is a word that holds an entry or NONE;
   * following NEXT_WORD from entry to entry visits the bucket.
   */
  linkOf(hash: number): number {
    let bucket = hash & this.#mask;
    if (bucket >= this.#bucketCount) bucket &= this.#mask >>> 1;
    return this.#wordOfBucket(bucket);
  }

  /** Adds an entry, which must have its hash already. */
  insert(entry: number): void {
    const int32 = this.#int32;
    const word = wordOf(entry);
    const link = this.linkOf(int32[word + HASH_WORD]);
    int32[word + NEXT_WORD] = int32[link];
    int32[link] = entry;
    this.#size++;
    for (let step = 0; step < SPLITS && this.#bucketCount < this.#size * BUCKETS_PER_KEY_MIN; step++) {
      if (!this.#split()) return;
    }
  }

  /** Removes the entry that `link` holds. Links found before are void. */
  remove(link: number): void {
    const int32 = this.#int32;
    int32[link] = int32[wordOf(int32[link]) + NEXT_WORD];
    this.#size--;
    const limit = Math.max(this.#size * BUCKETS_PER_KEY_MAX, SEGMENT_BUCKETS);
    for (let step = 0; step < MERGES && this.#bucketCount > limit; step++) this.#merge();
  }

  /** Puts `entry` in the place of the entry that `link` holds; both have the same hash. */
  replace(link: number, entry: number): void {
    const int32 = this.#int32;
    int32[wordOf(entry) + NEXT_WORD] = int32[wordOf(int32[link]) + NEXT_WORD];
    int32[link] = entry;
  }

  /** The link that holds `entry`. */
  linkTo(entry: number): number {
    const int32 = this.#int32;
    let link = this.linkOf(int32[wordOf(entry) + HASH_WORD]);
    while (int32[link] !== entry) {
      if (int32[link] === NONE)
        throw new SunstarError('SUNSTAR_INVARIANT', `Entry ${entry} is in no bucket.`);
      link = wordOf(int32[link]) + NEXT_WORD;
    }
    return link;
  }

  /**
   * Visits the entries of one bucket and returns where to go on.
   *
   * A cursor is a place in the order of the bit-reversed hashes, in which every bucket is one contiguous range
   * whatever the number of buckets (the idea of Redis's reverse-binary cursor, by Pieter Noordhuis). So an entry
   * that is there from the first call to the last is visited at least once, also when the table grows and
   * shrinks in between; it may be visited twice when it shrinks.
   *
   * @param cursor - 0 to begin; then what the call before returned. Any number below 2^32 is harmless.
   * @returns 0 when that was the last bucket.
   */
  scan(cursor: number, visitor: EntryVisitor): number {
    const position = reverseBits(cursor);
    let mask = this.#mask;
    // A bucket whose upper half does not exist yet was not split: one bit less names it.
    if (((position & mask) | (mask - (mask >>> 1))) >= this.#bucketCount) mask >>>= 1;
    const int32 = this.#int32;
    let entry = int32[this.#wordOfBucket(position & mask)];
    while (entry !== NONE) {
      visitor.visit(entry);
      entry = int32[wordOf(entry) + NEXT_WORD];
    }
    // The bucket covers 2^32 / (mask + 1) places; the next one begins behind them.
    const places = 2 ** 32 / (mask + 1);
    const next = Math.floor(cursor / places + 1) * places;
    return next < 2 ** 32 ? next : 0;
  }

  /**
   * An entry chosen at random, or NONE when the table is empty. Entries that share a bucket with others come a
   * little less often than those that are alone in theirs.
   *
   * @param random - A number from 0 to 1, not 1, at each call.
   */
  randomEntry(random: () => number): number {
    if (this.#size === 0) return NONE;
    const int32 = this.#int32;
    let bucket = 0;
    let link = NONE;
    // With a key for every four buckets this ends soon; in a nearly empty table the neighbours are tried.
    for (let attempt = 0; ; attempt++) {
      bucket = attempt < 64 ? Math.floor(random() * this.#bucketCount) : (bucket + 1) % this.#bucketCount;
      link = this.#wordOfBucket(bucket);
      if (int32[link] !== NONE) break;
    }
    let length = 0;
    for (let entry = int32[link]; entry !== NONE; entry = int32[wordOf(entry) + NEXT_WORD]) length++;
    let entry = int32[link];
    for (let skip = Math.floor(random() * length); skip > 0; skip--) entry = int32[wordOf(entry) + NEXT_WORD];
    return entry;
  }

  /**
   * Takes the table apart: unlinks the entries of its last buckets one by one and hands them to `visitor`, which
   * may release them; gives the segments back. Nothing else may be called once this has begun.
   *
   * @returns The buckets of the budget that were not needed; 0 when there is more to do.
   */
  dismantle(bucketBudget: number, visitor: EntryVisitor): number {
    const int32 = this.#int32;
    let budget = bucketBudget;
    for (; budget > 0 && this.#bucketCount > 0; budget--) {
      this.#bucketCount--;
      const link = this.#wordOfBucket(this.#bucketCount);
      for (let entry = int32[link]; entry !== NONE; entry = int32[link]) {
        int32[link] = int32[wordOf(entry) + NEXT_WORD];
        this.#size--;
        visitor.visit(entry);
      }
      while ((this.#segmentCount - 1) * SEGMENT_BUCKETS >= this.#bucketCount) this.#dropSegment();
    }
    return this.#bucketCount > 0 ? 0 : budget;
  }

  /** Throws unless each entry is in the bucket of its hash and the counts are right. For tests: slow. */
  invariants(): void {
    const int32 = this.#int32;
    const problem = (text: string): never => {
      throw new SunstarError('SUNSTAR_INVARIANT', `The hash table contradicts itself: ${text}.`);
    };
    let count = 0;
    for (let bucket = 0; bucket < this.#bucketCount; bucket++) {
      const link = this.#wordOfBucket(bucket);
      for (let entry = int32[link]; entry !== NONE; entry = int32[wordOf(entry) + NEXT_WORD]) {
        if (this.linkOf(int32[wordOf(entry) + HASH_WORD]) !== link) problem('an entry is in a wrong bucket');
        if (++count > this.#size) problem('it has more entries than its size says');
      }
    }
    if (count !== this.#size) problem(`size ${this.#size}, but ${count} entries`);
    const full = this.#mask + 1;
    if (this.#bucketCount > full || this.#bucketCount <= full / 2) problem('the mask does not fit');
    if (this.#segmentCount * SEGMENT_BUCKETS < this.#bucketCount) problem('a segment is missing');
  }

  #wordOfBucket(bucket: number): number {
    return this.#segments[bucket >>> SEGMENT_BITS] + (bucket & (SEGMENT_BUCKETS - 1));
  }

  /** Adds a bucket and moves to it what belongs there. False when there is no memory for it. */
  #split(): boolean {
    const int32 = this.#int32;
    const bucket = this.#bucketCount;
    if (bucket === this.#segmentCount * SEGMENT_BUCKETS && !this.#addSegment()) return false;
    if (bucket > this.#mask) this.#mask = this.#mask * 2 + 1;
    const mask = this.#mask;
    let stays = this.#wordOfBucket(bucket & (mask >>> 1));
    let goes = this.#wordOfBucket(bucket);
    let entry = int32[stays];
    while (entry !== NONE) {
      const word = wordOf(entry);
      if ((int32[word + HASH_WORD] & mask) === bucket) {
        int32[goes] = entry;
        goes = word + NEXT_WORD;
      } else {
        int32[stays] = entry;
        stays = word + NEXT_WORD;
      }
      entry = int32[word + NEXT_WORD];
    }
    int32[stays] = NONE;
    int32[goes] = NONE;
    this.#bucketCount = bucket + 1;
    return true;
  }

  /** Removes the last bucket: its entries go back to the bucket that they were split from. */
  #merge(): void {
    const int32 = this.#int32;
    const bucket = this.#bucketCount - 1;
    const source = this.#wordOfBucket(bucket);
    let target = this.#wordOfBucket(bucket & (this.#mask >>> 1));
    while (int32[target] !== NONE) target = wordOf(int32[target]) + NEXT_WORD;
    int32[target] = int32[source];
    this.#bucketCount = bucket;
    if (bucket === (this.#mask + 1) / 2) this.#mask >>>= 1;
    // Half a segment of slack, so that a table on the border does not allocate and free in turn.
    if (bucket + SEGMENT_BUCKETS * 1.5 <= this.#segmentCount * SEGMENT_BUCKETS) this.#dropSegment();
  }

  #addSegment(): boolean {
    const granule = this.#memory.take(SEGMENT_BYTES);
    if (granule === NONE) return false;
    if (this.#segmentCount === this.#segments.length) {
      const segments = new Int32Array(2 * this.#segments.length);
      segments.set(this.#segments);
      this.#segments = segments;
    }
    const word = wordOf(granule);
    this.#int32.fill(NONE, word, word + SEGMENT_BUCKETS);
    this.#segments[this.#segmentCount++] = word;
    return true;
  }

  #dropSegment(): void {
    this.#segmentCount--;
    this.#memory.give((this.#segments[this.#segmentCount] * 4) / GRANULE_BYTES);
  }
}

function reverseBits(value: number): number {
  let bits = value | 0;
  bits = ((bits >>> 1) & 0x55555555) | ((bits & 0x55555555) << 1);
  bits = ((bits >>> 2) & 0x33333333) | ((bits & 0x33333333) << 2);
  bits = ((bits >>> 4) & 0x0f0f0f0f) | ((bits & 0x0f0f0f0f) << 4);
  bits = ((bits >>> 8) & 0x00ff00ff) | ((bits & 0x00ff00ff) << 8);
  return (bits >>> 16) | (bits << 16);
}
