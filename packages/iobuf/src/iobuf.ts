import { currentShard, type ShardMemory } from '@sunstar/runtime';
import * as appending from './append.js';
import type { BlockOwner } from './block.js';
import { advance, type Chain, checkChain, fragmentAt, pushBack, releaseAll } from './chain.js';
import * as content from './content.js';
import { crc32cOfChain } from './crc32c.js';
import { Cursor } from './cursor.js';
import { checkInteger, disposedError, invalidArgumentError, outOfRangeError } from './errors.js';
import { FRAGMENT_SIZE_BYTES_MAX } from './growth.js';
import { hashOfChain } from './hash.js';
import { NumberAppender } from './number-appender.js';
import { Placeholder } from './placeholder.js';
import { poolOf } from './pool.js';
import * as reserving from './reserve.js';
import { IOVEC_SIZE_BYTES, IOVECS_MAX, writeIovecs } from './scatter.js';
import { shareInto, trimBack, trimFront } from './window.js';

/**
 * A chain of reference-counted pieces of shard memory ("fragments") that acts as one sequence of bytes.
 * After Redpanda's `iobuf`; see the package's README for who owns what.
 *
 * - **Memory.** Fragments that a buffer allocates grow from 512 bytes to 128 KiB and come from the arena of
 *   one shard; the size of a buffer is limited by that arena only. Running out throws
 *   `SUNSTAR_OUT_OF_MEMORY` and leaves the content as it was.
 * - **Ownership.** Whoever makes an IOBuf (`new`, `from`, `share`, `copy`, `readIOBuf`) disposes it:
 *   `using buffer = new IOBuf()`. A forgotten one keeps its memory until the shard ends. After dispose
 *   every method throws `SUNSTAR_IOBUF_DISPOSED`, except another dispose, which does nothing.
 * - **Sharing.** A share sees the same bytes without a copy. An append or a trim never changes what a share
 *   sees, whoever does it.
 * - **Shard.** A buffer belongs to the thread whose memory it lies in, and is not thread-safe. Where two
 *   buffers meet that lie in different memories, content is copied, never linked.
 * - **Arguments.** Sizes and positions are integers; what lies outside of the content throws
 *   `SUNSTAR_OUT_OF_RANGE` and changes nothing.
 */
export class IOBuf extends NumberAppender {
  #chain: Chain | null;

  /** @param memory - Where fragments come from. @defaultValue the memory of the current shard */
  constructor(memory: ShardMemory = currentShard().memory) {
    super();
    this.#chain = poolOf(memory).acquireChain();
  }

  /** A buffer with a copy of `data`; a string is encoded as UTF-8. */
  static from(data: Uint8Array | string, memory?: ShardMemory): IOBuf {
    const buffer = new IOBuf(memory);
    try {
      return buffer.append(data);
    } catch (error) {
      buffer[Symbol.dispose]();
      throw error;
    }
  }

  /** @internal */
  protected override chain(): Chain {
    const chain = this.#chain;
    if (chain === null) throw disposedError();
    return chain;
  }

  /** Gives all references to memory back. Doing it again does nothing. */
  [Symbol.dispose](): void {
    const chain = this.#chain;
    if (chain === null) return;
    this.#chain = null;
    releaseAll(chain);
    chain.pool.recycleChain(chain);
  }

  /** Whether the buffer was disposed. */
  get isDisposed(): boolean {
    return this.#chain === null;
  }

  /** The memory that fragments come from; fragment offsets are indexes into its `bytes`. */
  get memory(): ShardMemory {
    return this.chain().pool.memory;
  }

  /** Length of the content. */
  get sizeBytes(): number {
    return this.chain().size;
  }

  /** Whether there is no content. */
  get isEmpty(): boolean {
    return this.chain().size === 0;
  }

  // — Adding content —

  /** Copies bytes, or a string as UTF-8, behind the content: the last fragment is filled, then new ones follow. */
  append(data: Uint8Array | string): this {
    const chain = this.chain();
    if (typeof data === 'string') appending.appendString(chain, data);
    else if (data instanceof Uint8Array) appending.appendBytes(chain, data);
    else throw invalidArgumentError('data', 'a Uint8Array or a string', data);
    return this;
  }

  /** Copies `sizeBytes` bytes of the arena, from `offset`, behind the content. */
  appendRange(offset: number, sizeBytes: number): this {
    const chain = this.chain();
    const arenaBytes = chain.bytes.length;
    checkInteger('offset', offset, 0, arenaBytes);
    checkInteger('sizeBytes', sizeBytes, 0, arenaBytes - offset);
    appending.appendRange(chain, offset, sizeBytes);
    return this;
  }

  /**
   * Adds the content of another buffer, fragment by fragment, in the cheapest way: a fragment that is not
   * larger than the capacity of this buffer's last one (512 bytes if there is none) is copied, a larger one
   * is linked without a copy. `other` stays as it is, and its owner's; it may be this buffer.
   */
  appendIOBuf(other: IOBuf): this {
    appending.appendChain(this.chain(), other.chain());
    return this;
  }

  /** Like {@link appendIOBuf}, but links every fragment, however small. */
  link(other: IOBuf): this {
    appending.linkChain(this.chain(), other.chain());
    return this;
  }

  /** Moves all fragments of `other` behind the content, in constant time. `other` is empty afterwards. */
  take(other: IOBuf): this {
    appending.takeChain(this.chain(), other.chain());
    return this;
  }

  /** Puts bytes, a string or the fragments of another buffer (linked) in front, as new fragments. */
  prepend(data: Uint8Array | string | IOBuf): this {
    const chain = this.chain();
    if (data instanceof IOBuf) appending.prependChain(chain, data.chain());
    else if (typeof data === 'string') appending.prependBytes(chain, Buffer.from(data));
    else if (data instanceof Uint8Array) appending.prependBytes(chain, data);
    else throw invalidArgumentError('data', 'a Uint8Array, a string or an IOBuf', data);
    return this;
  }

  /**
   * Adds a block of arena memory as a fragment, without a copy, and takes over its ownership: with the last
   * reference to it, `owner.release(blockOffset)` is called; without an owner `memory.free(blockOffset)`.
   * If this throws, the block is still the caller's. With `sizeBytes` 0 the block goes back at once.
   *
   * @param blockOffset - Where the block begins in the arena.
   * @param capacityBytes - Size of the block. Without an owner its unused end serves later appends.
   * @param start - First byte of the content, relative to the block.
   * @param sizeBytes - Length of the content.
   * @param owner - Who lent the block, for example a pool of receive buffers. Its bytes behind the content
   *   are never written.
   */
  adopt(
    blockOffset: number,
    capacityBytes: number,
    start: number,
    sizeBytes: number,
    owner: BlockOwner | null = null,
  ): this {
    const chain = this.chain();
    const arenaBytes = chain.bytes.length;
    checkInteger('blockOffset', blockOffset, 0, arenaBytes);
    checkInteger('capacityBytes', capacityBytes, 0, arenaBytes - blockOffset);
    checkInteger('start', start, 0, capacityBytes);
    checkInteger('sizeBytes', sizeBytes, 0, capacityBytes - start);
    const pool = chain.pool;
    const block = pool.acquireBlock(blockOffset, capacityBytes, owner);
    const from = blockOffset + start;
    const end = from + sizeBytes;
    block.writeEnd = end;
    block.sealed = owner !== null;
    const limit = owner === null ? blockOffset + capacityBytes : end;
    const capacity = owner === null ? capacityBytes : sizeBytes;
    const fragment = pool.acquireFragment(block, from, end, limit, capacity);
    if (sizeBytes === 0) pool.releaseFragment(fragment);
    else pushBack(chain, fragment);
    return this;
  }

  /**
   * The arena offset of `sizeBytes` (1 to 131072) contiguous bytes behind the content, to be written by the
   * caller and then made content by {@link commit}. The fast way for encoders: no call per field. Any
   * other change of the buffer before the commit voids the reservation.
   */
  reserve(sizeBytes: number): number {
    const chain = this.chain();
    checkInteger('sizeBytes', sizeBytes, 1, FRAGMENT_SIZE_BYTES_MAX);
    return reserving.reserve(chain, sizeBytes);
  }

  /** Makes the first `sizeBytes` bytes of the last {@link reserve} content; else `SUNSTAR_IOBUF_NOT_RESERVED`. */
  commit(sizeBytes: number): void {
    const chain = this.chain();
    checkInteger('sizeBytes', sizeBytes, 0, FRAGMENT_SIZE_BYTES_MAX);
    reserving.commit(chain, sizeBytes);
  }

  /** Appends `sizeBytes` (1 to 131072) zero bytes that can be written later; see {@link Placeholder}. */
  placeholder(sizeBytes: number): Placeholder {
    const chain = this.chain();
    checkInteger('sizeBytes', sizeBytes, 1, FRAGMENT_SIZE_BYTES_MAX);
    const tail = appending.contiguousTail(chain, sizeBytes);
    const offset = tail.end;
    chain.bytes.fill(0, offset, offset + sizeBytes);
    advance(chain, tail, sizeBytes);
    tail.block.sealed = true;
    return new Placeholder(this, chain, tail.block, offset, sizeBytes);
  }

  // — Windows and removal —

  /** A buffer that sees `sizeBytes` bytes from `position` without a copy. The caller disposes it. */
  share(position = 0, sizeBytes?: number): IOBuf {
    const chain = this.chain();
    checkInteger('position', position, 0, chain.size);
    const length = sizeBytes ?? chain.size - position;
    checkInteger('sizeBytes', length, 0, chain.size - position);
    const shared = new IOBuf(chain.pool.memory);
    shareInto(shared.chain(), chain, position, length);
    return shared;
  }

  /** A buffer with a copy of the content, in exactly one fragment up to 16 KiB. The caller disposes it. */
  copy(): IOBuf {
    const chain = this.chain();
    const copied = new IOBuf(chain.pool.memory);
    try {
      appending.copyChain(copied.chain(), chain);
      return copied;
    } catch (error) {
      copied[Symbol.dispose]();
      throw error;
    }
  }

  /** Drops the first `sizeBytes` bytes; fragments that become empty are released. */
  trimFront(sizeBytes: number): void {
    const chain = this.chain();
    checkInteger('sizeBytes', sizeBytes, 0, chain.size);
    trimFront(chain, sizeBytes);
  }

  /** Drops the last `sizeBytes` bytes; fragments that become empty are released. */
  trimBack(sizeBytes: number): void {
    const chain = this.chain();
    checkInteger('sizeBytes', sizeBytes, 0, chain.size);
    trimBack(chain, sizeBytes);
  }

  /** Drops the whole content and releases its memory; the buffer can be used again. */
  clear(): void {
    releaseAll(this.chain());
  }

  // — Looking at content —

  /** The byte at `position`. Ascending access is cheap: each search starts where the last one ended. */
  byteAt(position: number): number {
    const chain = this.chain();
    checkInteger('position', position, 0, chain.size - 1);
    return content.byteAt(chain, position);
  }

  /** The position of the first `value`, a byte or a sequence, at or behind `from`; −1 if there is none. */
  indexOf(value: number | Uint8Array, from = 0): number {
    const chain = this.chain();
    checkInteger('from', from, 0, chain.size);
    return content.indexOf(chain, value, from);
  }

  /** Whether the contents are the same; how they are cut into fragments does not matter. */
  equals(other: IOBuf | Uint8Array): boolean {
    const chain = this.chain();
    if (other instanceof IOBuf) return content.equalChains(chain, other.chain());
    if (other instanceof Uint8Array) return content.equalBytes(chain, other);
    throw invalidArgumentError('other', 'an IOBuf or a Uint8Array', other);
  }

  /** −1, 0 or 1 as the content sorts, byte by byte, before, like or behind the other. */
  compare(other: IOBuf | Uint8Array): number {
    const chain = this.chain();
    if (other instanceof IOBuf) return content.compareChains(chain, other.chain());
    if (other instanceof Uint8Array) return content.compareWithBytes(chain, other);
    throw invalidArgumentError('other', 'an IOBuf or a Uint8Array', other);
  }

  /** The 32-bit xxHash of the content, unsigned; equal contents have equal hashes. Not for secrets. */
  hash(seed = 0): number {
    return hashOfChain(this.chain(), seed);
  }

  /** The CRC-32C of the content, unsigned. `seed` is the result for bytes before it; see `crc32c`. */
  crc32c(seed = 0): number {
    return crc32cOfChain(this.chain(), seed);
  }

  /** Copies the content to `target`, from `targetStart`; throws if it does not fit. Returns its size. */
  copyTo(target: Uint8Array, targetStart = 0): number {
    const chain = this.chain();
    checkInteger('targetStart', targetStart, 0, target.length);
    const room = target.length - targetStart;
    if (chain.size > room) throw outOfRangeError('the size of the content', chain.size, 0, room);
    content.copyToBytes(chain, target, targetStart, 0, chain.size);
    return chain.size;
  }

  /** Copies the content to arena memory of the caller, from `offset`. Returns its size. */
  copyToArena(offset: number): number {
    const chain = this.chain();
    checkInteger('offset', offset, 0, chain.bytes.length - chain.size);
    content.copyToArena(chain, offset);
    return chain.size;
  }

  /** The content as a Buffer of its own, outside of the arena. */
  toBuffer(): Buffer {
    const target = Buffer.allocUnsafe(this.sizeBytes);
    this.copyTo(target);
    return target;
  }

  /** The bytes from `start` up to `end` as a string. Characters may lie across fragments. */
  override toString(encoding: 'utf8' | 'latin1' = 'utf8', start = 0, end?: number): string {
    const chain = this.chain();
    const until = end ?? chain.size;
    checkInteger('end', until, 0, chain.size);
    checkInteger('start', start, 0, until);
    return content.decode(chain, encoding, start, until);
  }

  /** A reader over the content; see {@link Cursor}. */
  cursor(): Cursor {
    return new Cursor(this, this.chain());
  }

  // — Fragments —

  /** Number of fragments. */
  get fragmentCount(): number {
    return this.chain().count;
  }

  /** Where fragment number `index` begins in `memory.bytes`. Ascending access is cheap. */
  fragmentOffset(index: number): number {
    const chain = this.chain();
    checkInteger('index', index, 0, chain.count - 1);
    return fragmentAt(chain, index).start;
  }

  /** Length of fragment number `index`; never 0. */
  fragmentLength(index: number): number {
    const chain = this.chain();
    checkInteger('index', index, 0, chain.count - 1);
    const fragment = fragmentAt(chain, index);
    return fragment.end - fragment.start;
  }

  /**
   * The fragments as views of the arena. A convenience that makes an object per fragment; a view is valid
   * only as long as a buffer holds its fragment.
   */
  *fragments(): Generator<Uint8Array, void, undefined> {
    for (let i = 0; i < this.fragmentCount; i++) {
      const offset = this.fragmentOffset(i);
      yield this.chain().bytes.subarray(offset, offset + this.fragmentLength(i));
    }
  }

  /** The bytes, one by one. */
  *[Symbol.iterator](): Generator<number, void, undefined> {
    for (let position = 0; position < this.sizeBytes; position++)
      yield content.byteAt(this.chain(), position);
  }

  /**
   * Writes the content as the kernel's scatter list: a `struct iovec` (two 64-bit words: address, length)
   * for each fragment. The buffer must keep its fragments until the kernel is done; hold a {@link share}.
   *
   * @param tableOffset - Where in the arena to write; the caller owns `maxCount * 16` bytes there. Multiple of 8.
   * @param maxCount - How many entries at most, 1 to 1024 (the kernel's limit).
   * @param skipBytes - How many bytes of the content to leave out at the front. @defaultValue 0
   * @returns How many entries were written; 0 when nothing is left.
   */
  writeIovecs(tableOffset: number, maxCount: number, skipBytes = 0): number {
    const chain = this.chain();
    checkInteger('maxCount', maxCount, 1, IOVECS_MAX);
    checkInteger('tableOffset', tableOffset, 0, chain.bytes.length - maxCount * IOVEC_SIZE_BYTES);
    checkInteger('tableOffset / 8', tableOffset / 8, 0, chain.bytes.length / 8);
    checkInteger('skipBytes', skipBytes, 0, chain.size);
    return writeIovecs(chain, tableOffset, maxCount, skipBytes);
  }

  /** Throws `SUNSTAR_INVARIANT` if the buffer contradicts itself. For tests. */
  invariants(): void {
    checkChain(this.chain());
  }
}
