import { copyBytes, equalBytes } from '../bytes.js';
import { HASH_WORD, wordOf } from './hash-table.js';
import { GRANULE_BYTES, NONE, type StoreMemory } from './store-memory.js';

/** `expireAtMs` of a key that does not expire. */
export const NEVER = 0;

/** The longest key. */
export const KEY_BYTES_MAX = 65_535;

/** The longest value: its chunk table must fit into an entry. */
export const VALUE_BYTES_MAX: number = 1024 ** 3;

/** The size of a chunk: the largest block that the store ever asks for. */
export const CHUNK_BYTES: number = 128 * 1024;

/** An entry larger than this keeps its value in chunks. */
export const INLINE_ENTRY_BYTES_MAX: number = 64 * 1024;

const HEADER_BYTES = 32;
/** Index of an entry's expiry in the arena's doubles, from the entry's granule. */
export const EXPIRY_DOUBLE = 1;
const SHAPE_WORD = 4;
const LENGTH_WORD = 5;
/** Words that the expiry wheel links entries through. */
export const TIMER_PREVIOUS_WORD = 6;
export const TIMER_NEXT_WORD = 7;

const REFERENCE_BYTES = 4;

/**
 * Keys and values in the arena. An entry is one block:
 *
 * ```
 * bytes   0  next entry of the bucket      (hash table)
 *         4  hash of the key               (hash table)
 *         8  expiry, ms since 1970 as a double; 0 = none
 *        16  key length: 16 bits; size of the block in granules: 15 bits; value in chunks: 1 bit
 *        20  value length
 *        24  previous and next entry of the timer slot (expiry wheel)
 *        32  key, then the value, or the granules of its chunks
 * ```
 *
 * A value in chunks fills all of them but the last, which is only as large as it must be.
 * An entry is named by its granule. All methods take entries that exist.
 */
export class Entries {
  readonly #memory: StoreMemory;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #int32: Int32Array;
  readonly #float64: Float64Array;

  constructor(memory: StoreMemory) {
    this.#memory = memory;
    this.#bytes = memory.bytes;
    this.#view = memory.view;
    this.#int32 = memory.int32;
    this.#float64 = memory.float64;
  }

  hash(entry: number): number {
    return this.#int32[wordOf(entry) + HASH_WORD];
  }

  /** Absolute time in ms, 0 when the entry does not expire. */
  expireAtMs(entry: number): number {
    return this.#float64[entry + EXPIRY_DOUBLE];
  }

  setExpireAtMs(entry: number, expireAtMs: number): void {
    this.#float64[entry + EXPIRY_DOUBLE] = expireAtMs;
  }

  keyOffset(entry: number): number {
    return entry * GRANULE_BYTES + HEADER_BYTES;
  }

  keyLength(entry: number): number {
    return this.#int32[wordOf(entry) + SHAPE_WORD] & 0xffff;
  }

  valueLength(entry: number): number {
    return this.#int32[wordOf(entry) + LENGTH_WORD];
  }

  /** Whether the value lies in chunks; otherwise it lies behind the key, at {@link payloadOffset}. */
  isChunked(entry: number): boolean {
    return this.#int32[wordOf(entry) + SHAPE_WORD] < 0;
  }

  payloadOffset(entry: number): number {
    return entry * GRANULE_BYTES + HEADER_BYTES + this.keyLength(entry);
  }

  /** Bytes of the entry's own block. */
  blockBytes(entry: number): number {
    return ((this.#int32[wordOf(entry) + SHAPE_WORD] >>> 16) & 0x7fff) * GRANULE_BYTES;
  }

  /** Number of contiguous pieces that the value lies in; 1 for a value that is not in chunks. */
  pieceCount(entry: number): number {
    return this.isChunked(entry) ? chunksFor(this.valueLength(entry)) : 1;
  }

  pieceOffset(entry: number, index: number): number {
    return this.isChunked(entry) ? this.#chunk(entry, index) * GRANULE_BYTES : this.payloadOffset(entry);
  }

  pieceLength(entry: number, index: number): number {
    const length = this.valueLength(entry);
    return this.isChunked(entry) ? Math.min(CHUNK_BYTES, length - index * CHUNK_BYTES) : length;
  }

  /** Whether the entry has this key. */
  hasKey(entry: number, hash: number, keyOffset: number, keyLength: number): boolean {
    const word = wordOf(entry);
    return (
      this.#int32[word + HASH_WORD] === hash &&
      (this.#int32[word + SHAPE_WORD] & 0xffff) === keyLength &&
      equalBytes(this.#bytes, this.#view, keyOffset, entry * GRANULE_BYTES + HEADER_BYTES, keyLength)
    );
  }

  /**
   * A new entry that does not expire, its value not written yet; NONE when there is no memory for all of it.
   *
   * @param keyOffset - Where the key is; it is copied.
   */
  create(hash: number, keyOffset: number, keyLength: number, valueLength: number): number {
    const chunked = HEADER_BYTES + keyLength + valueLength > INLINE_ENTRY_BYTES_MAX;
    const payload = chunked ? chunksFor(valueLength) * REFERENCE_BYTES : valueLength;
    const entry = this.#createBlock(HEADER_BYTES + keyLength + payload, chunked);
    if (entry === NONE) return NONE;
    const word = wordOf(entry);
    this.#int32[word + HASH_WORD] = hash;
    this.#int32[word + SHAPE_WORD] |= keyLength;
    this.#int32[word + LENGTH_WORD] = valueLength;
    copyBytes(this.#bytes, this.#view, keyOffset, entry * GRANULE_BYTES + HEADER_BYTES, keyLength);
    if (chunked && !this.#takeChunks(entry, 0, chunksFor(valueLength), valueLength)) {
      this.#memory.give(entry);
      return NONE;
    }
    return entry;
  }

  /**
   * A new entry with another key that takes the value of `source` over; the expiry comes along. The caller then
   * unlinks `source` and gives its block back with {@link releaseBlock}. NONE when there is no memory.
   */
  createRenamed(source: number, hash: number, keyOffset: number, keyLength: number): number {
    const valueLength = this.valueLength(source);
    const chunked = this.isChunked(source);
    if (!chunked && HEADER_BYTES + keyLength + valueLength > INLINE_ENTRY_BYTES_MAX) {
      // The longer key leaves no room for the value beside it.
      const entry = this.create(hash, keyOffset, keyLength, valueLength);
      if (entry !== NONE) {
        this.write(entry, 0, this.payloadOffset(source), valueLength);
        this.setExpireAtMs(entry, this.expireAtMs(source));
      }
      return entry;
    }
    const payload = chunked ? chunksFor(valueLength) * REFERENCE_BYTES : valueLength;
    const entry = this.#createBlock(HEADER_BYTES + keyLength + payload, chunked);
    if (entry === NONE) return NONE;
    const word = wordOf(entry);
    this.#int32[word + HASH_WORD] = hash;
    this.#int32[word + SHAPE_WORD] |= keyLength;
    this.#int32[word + LENGTH_WORD] = valueLength;
    this.setExpireAtMs(entry, this.expireAtMs(source));
    copyBytes(this.#bytes, this.#view, keyOffset, entry * GRANULE_BYTES + HEADER_BYTES, keyLength);
    copyBytes(this.#bytes, this.#view, this.payloadOffset(source), this.payloadOffset(entry), payload);
    return entry;
  }

  /**
   * Whether a value of this length can overwrite the present one in the block that is there, and the block is
   * not far too large for it.
   */
  fitsInPlace(entry: number, valueLength: number): boolean {
    const shape = this.#int32[wordOf(entry) + SHAPE_WORD];
    if (shape < 0) return false;
    const blockBytes = (shape >>> 16) * GRANULE_BYTES;
    const needBytes = HEADER_BYTES + (shape & 0xffff) + valueLength;
    return needBytes <= blockBytes && (blockBytes <= 256 || needBytes * 4 > blockBytes);
  }

  /** Overwrites the value in place, which {@link fitsInPlace} has allowed. */
  overwrite(entry: number, valueOffset: number, valueLength: number): void {
    this.#int32[wordOf(entry) + LENGTH_WORD] = valueLength;
    copyBytes(this.#bytes, this.#view, valueOffset, this.payloadOffset(entry), valueLength);
  }

  /** Copies bytes of the arena into the value; they must lie within its length. */
  write(entry: number, position: number, sourceOffset: number, length: number): void {
    if (!this.isChunked(entry)) {
      copyBytes(this.#bytes, this.#view, sourceOffset, this.payloadOffset(entry) + position, length);
      return;
    }
    for (let done = 0; done < length; ) {
      const at = (position + done) % CHUNK_BYTES;
      const count = Math.min(CHUNK_BYTES - at, length - done);
      const chunk = this.#chunk(entry, Math.floor((position + done) / CHUNK_BYTES));
      copyBytes(this.#bytes, this.#view, sourceOffset + done, chunk * GRANULE_BYTES + at, count);
      done += count;
    }
  }

  /** Makes bytes of the value zero. */
  fillZero(entry: number, position: number, length: number): void {
    if (!this.isChunked(entry)) {
      const start = this.payloadOffset(entry) + position;
      this.#bytes.fill(0, start, start + length);
      return;
    }
    for (let done = 0; done < length; ) {
      const at = (position + done) % CHUNK_BYTES;
      const count = Math.min(CHUNK_BYTES - at, length - done);
      const start = this.#chunk(entry, Math.floor((position + done) / CHUNK_BYTES)) * GRANULE_BYTES + at;
      this.#bytes.fill(0, start, start + count);
      done += count;
    }
  }

  /**
   * Makes the value longer; the new bytes are not written yet. What is there stays as it is.
   *
   * @returns The same entry, or a new one in whose favour the caller unlinks the old one and gives its block
   *   back with {@link releaseBlock}; NONE, and nothing has changed, when there is no memory.
   */
  grow(entry: number, newLength: number): number {
    const keyLength = this.keyLength(entry);
    const needBytes = HEADER_BYTES + keyLength + newLength;
    if (!this.isChunked(entry)) {
      if (needBytes <= this.blockBytes(entry)) {
        this.#int32[wordOf(entry) + LENGTH_WORD] = newLength;
        return entry;
      }
      return needBytes > INLINE_ENTRY_BYTES_MAX
        ? this.#growIntoChunks(entry, newLength)
        : this.#growBlock(entry, needBytes, newLength);
    }
    return this.#growChunked(entry, newLength);
  }

  /** Gives back the entry and its value. */
  release(entry: number): void {
    if (this.isChunked(entry)) this.#giveChunks(entry, 0, chunksFor(this.valueLength(entry)));
    this.#memory.give(entry);
  }

  /** Gives back the entry's block only, its value having been taken over. */
  releaseBlock(entry: number): void {
    this.#memory.give(entry);
  }

  #createBlock(sizeBytes: number, chunked: boolean): number {
    const entry = this.#memory.take(sizeBytes);
    if (entry === NONE) return NONE;
    const word = wordOf(entry);
    const granules = this.#memory.usableBytes(entry) / GRANULE_BYTES;
    this.#int32[word + SHAPE_WORD] = (granules << 16) | (chunked ? 1 << 31 : 0);
    this.#int32[word + TIMER_PREVIOUS_WORD] = NONE;
    this.#int32[word + TIMER_NEXT_WORD] = NONE;
    this.#float64[entry + EXPIRY_DOUBLE] = 0;
    return entry;
  }

  /** A larger block, with a quarter to spare for the next time. */
  #growBlock(entry: number, needBytes: number, newLength: number): number {
    const generous = Math.min(needBytes + (needBytes >>> 2), INLINE_ENTRY_BYTES_MAX);
    let grown = this.#createBlock(generous, false);
    if (grown === NONE) grown = this.#createBlock(needBytes, false);
    if (grown === NONE) return NONE;
    this.#copyHeader(entry, grown, newLength);
    const usedBytes = this.keyLength(entry) + this.valueLength(entry);
    copyBytes(this.#bytes, this.#view, this.keyOffset(entry), this.keyOffset(grown), usedBytes);
    return grown;
  }

  #growIntoChunks(entry: number, newLength: number): number {
    const grown = this.create(this.hash(entry), this.keyOffset(entry), this.keyLength(entry), newLength);
    if (grown === NONE) return NONE;
    this.write(grown, 0, this.payloadOffset(entry), this.valueLength(entry));
    this.#copyHeader(entry, grown, newLength);
    return grown;
  }

  #growChunked(entry: number, newLength: number): number {
    const oldLength = this.valueLength(entry);
    const oldCount = chunksFor(oldLength);
    const newCount = chunksFor(newLength);
    const needBytes = HEADER_BYTES + this.keyLength(entry) + newCount * REFERENCE_BYTES;

    let grown = entry;
    if (needBytes > this.blockBytes(entry)) {
      grown = this.#createBlock(needBytes + 64 * REFERENCE_BYTES, true);
      if (grown === NONE) return NONE;
      const usedBytes = this.keyLength(entry) + oldCount * REFERENCE_BYTES;
      copyBytes(this.#bytes, this.#view, this.keyOffset(entry), this.keyOffset(grown), usedBytes);
      this.#copyHeader(entry, grown, oldLength);
    }

    // The last chunk is moved to a larger block, unless it is large enough or full.
    const last = oldCount - 1;
    const lastLength = oldLength - last * CHUNK_BYTES;
    const wanted = Math.min(newLength - last * CHUNK_BYTES, CHUNK_BYTES);
    const lastChunk = last >= 0 ? this.#chunk(grown, last) : NONE;
    let movedChunk = NONE;
    if (lastChunk !== NONE && this.#memory.usableBytes(lastChunk) < wanted) {
      // A quarter to spare, as for blocks.
      movedChunk = this.#memory.take(Math.min(wanted + (wanted >>> 2), CHUNK_BYTES));
      if (movedChunk === NONE) {
        if (grown !== entry) this.#memory.give(grown);
        return NONE;
      }
    }
    if (!this.#takeChunks(grown, oldCount, newCount, newLength)) {
      if (movedChunk !== NONE) this.#memory.give(movedChunk);
      if (grown !== entry) this.#memory.give(grown);
      return NONE;
    }
    if (movedChunk !== NONE) {
      copyBytes(this.#bytes, this.#view, lastChunk * GRANULE_BYTES, movedChunk * GRANULE_BYTES, lastLength);
      this.#setChunk(grown, last, movedChunk);
      this.#memory.give(lastChunk);
    }
    this.#int32[wordOf(grown) + LENGTH_WORD] = newLength;
    return grown;
  }

  /** Everything but the links and the size of the block. */
  #copyHeader(from: number, to: number, valueLength: number): void {
    const int32 = this.#int32;
    const word = wordOf(to);
    int32[word + HASH_WORD] = int32[wordOf(from) + HASH_WORD];
    int32[word + SHAPE_WORD] = (int32[word + SHAPE_WORD] & ~0xffff) | this.keyLength(from);
    int32[word + LENGTH_WORD] = valueLength;
    this.setExpireAtMs(to, this.expireAtMs(from));
  }

  /** Takes the chunks `from` to `to` − 1 of a value; all or none. */
  #takeChunks(entry: number, from: number, to: number, valueLength: number): boolean {
    for (let index = from; index < to; index++) {
      const chunk = this.#memory.take(Math.min(CHUNK_BYTES, valueLength - index * CHUNK_BYTES));
      if (chunk === NONE) {
        this.#giveChunks(entry, from, index);
        return false;
      }
      this.#setChunk(entry, index, chunk);
    }
    return true;
  }

  #giveChunks(entry: number, from: number, to: number): void {
    for (let index = from; index < to; index++) this.#memory.give(this.#chunk(entry, index));
  }

  #chunk(entry: number, index: number): number {
    return this.#view.getInt32(this.payloadOffset(entry) + index * REFERENCE_BYTES, true);
  }

  #setChunk(entry: number, index: number, chunk: number): void {
    this.#view.setInt32(this.payloadOffset(entry) + index * REFERENCE_BYTES, chunk, true);
  }
}

function chunksFor(valueLength: number): number {
  return Math.ceil(valueLength / CHUNK_BYTES);
}
