import { type Chain, following, fragmentAt } from './chain.js';
import * as content from './content.js';
import { crc32cOfChain } from './crc32c.js';
import { checkInteger, foreignError, invalidArgumentError, outOfRangeError } from './errors.js';
import { hashOfChain } from './hash.js';
import { hexdump } from './hexdump.js';
import { NumberAppender } from './number-appender.js';
import { checkU32 } from './numbers.js';
import { bytesOf, regionOf } from './region.js';
import { IOVEC_SIZE_BYTES, IOVECS_MAX, writeIovecs } from './scatter.js';
import { xxhash64OfChain } from './xxhash64.js';

/**
 * The part of an IOBuf that looks at its content and changes nothing of it. How the content is cut into
 * fragments never matters, except where fragments are what is asked for.
 */
export abstract class ContentView extends NumberAppender {
  /** @internal The content; throws SUNSTAR_IOBUF_DISPOSED once there is none. */
  protected abstract chain(): Chain;

  /** Whether the buffer was disposed, or its content moved away. */
  abstract get isDisposed(): boolean;

  /** Length of the content. */
  get sizeBytes(): number {
    return this.chain().size;
  }

  /** Whether there is no content. */
  get isEmpty(): boolean {
    return this.chain().size === 0;
  }

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
  equals(other: ContentView | Uint8Array): boolean {
    const chain = this.chain();
    if (other instanceof ContentView) return content.equalChains(chain, other.chain());
    if (other instanceof Uint8Array) return content.equalBytes(chain, other);
    throw invalidArgumentError('other', 'an IOBuf or a Uint8Array', other);
  }

  /** −1, 0 or 1 as the content sorts, byte by byte, before, like or behind the other. */
  compare(other: ContentView | Uint8Array): number {
    const chain = this.chain();
    if (other instanceof ContentView) return content.compareChains(chain, other.chain());
    if (other instanceof Uint8Array) return content.compareWithBytes(chain, other);
    throw invalidArgumentError('other', 'an IOBuf or a Uint8Array', other);
  }

  /** The 32-bit xxHash of the content, unsigned; equal contents have equal hashes. Not for secrets. */
  hash(seed = 0): number {
    const chain = this.chain();
    checkU32(seed, 'seed');
    return hashOfChain(chain, seed);
  }

  /** The CRC-32C of the content, unsigned. `seed` is the result for bytes before it; see `crc32c`. */
  crc32c(seed = 0): number {
    const chain = this.chain();
    checkU32(seed, 'seed');
    return crc32cOfChain(chain, seed);
  }

  /** The 64-bit xxHash (XXH64) of the content; equal contents have equal hashes. Not for secrets. */
  xxhash64(seed = 0n): bigint {
    return xxhash64OfChain(this.chain(), seed);
  }

  /** Copies the content to `target`, from `targetStart`; throws if it does not fit. Returns its size. */
  copyTo(target: Uint8Array, targetStart = 0): number {
    const chain = this.chain();
    if (!(target instanceof Uint8Array)) throw invalidArgumentError('target', 'a Uint8Array', target);
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

  /**
   * The bytes from `start` up to `end` as a string. Characters may lie across fragments. Invalid UTF-8 becomes
   * U+FFFD, as everywhere in Node; as `utf8-strict` it throws `SUNSTAR_INVALID_UTF8`.
   */
  override toString(encoding: content.TextEncoding = 'utf8', start = 0, end?: number): string {
    const chain = this.chain();
    const until = end ?? chain.size;
    checkInteger('end', until, 0, chain.size);
    checkInteger('start', start, 0, until);
    return content.decode(chain, encoding, start, until);
  }

  /** The first bytes for people: offsets, hexadecimal and ASCII, 16 bytes a line. @param maxBytes - @defaultValue 1024 */
  hexdump(maxBytes = 1024): string {
    checkInteger('maxBytes', maxBytes, 0, Number.MAX_SAFE_INTEGER);
    return hexdump(this.chain(), maxBytes);
  }

  // — Fragments —

  /** Number of fragments. */
  get fragmentCount(): number {
    return this.chain().count;
  }

  /**
   * Where fragment number `index` begins in `memory.bytes`. Ascending access is cheap. A fragment in other
   * memory (see `wrap`) has no such place: `SUNSTAR_IOBUF_FOREIGN`.
   */
  fragmentOffset(index: number): number {
    const chain = this.chain();
    checkInteger('index', index, 0, chain.count - 1);
    const fragment = fragmentAt(chain, index);
    if (fragment.block.region !== chain.pool.region) throw foreignError(`Fragment ${index}`);
    return fragment.start;
  }

  /** The address at which the kernel finds fragment number `index`, whatever memory it lies in. */
  fragmentAddress(index: number): number {
    const chain = this.chain();
    checkInteger('index', index, 0, chain.count - 1);
    const fragment = fragmentAt(chain, index);
    return regionOf(fragment).address + fragment.start;
  }

  /** Length of fragment number `index`; never 0. */
  fragmentLength(index: number): number {
    const chain = this.chain();
    checkInteger('index', index, 0, chain.count - 1);
    const fragment = fragmentAt(chain, index);
    return fragment.end - fragment.start;
  }

  /** Whether every fragment lies in this shard's arena, and so has a {@link fragmentOffset}. */
  get isLocal(): boolean {
    const chain = this.chain();
    for (let fragment = chain.head; fragment !== null; fragment = following(chain, fragment)) {
      if (fragment.block.region !== chain.pool.region) return false;
    }
    return true;
  }

  /**
   * The fragments as views of their memory. A view is valid only as long as a buffer holds its fragment; do
   * not keep it, and never transfer its ArrayBuffer.
   */
  *fragments(): Generator<Buffer, void, undefined> {
    for (let i = 0; i < this.fragmentCount; i++) {
      const fragment = fragmentAt(this.chain(), i);
      yield bytesOf(fragment).subarray(fragment.start, fragment.end);
    }
  }

  /**
   * The content in pieces of exactly `sizeBytes`, the last one shorter: views where a piece lies in one
   * fragment, copies where it crosses a border. Good until the next step.
   */
  *chunks(sizeBytes: number): Generator<Buffer, void, undefined> {
    checkInteger('sizeBytes', sizeBytes, 1, Number.MAX_SAFE_INTEGER);
    for (let at = 0; at < this.sizeBytes; at += sizeBytes) {
      yield content.contiguous(this.chain(), at, Math.min(this.sizeBytes, at + sizeBytes));
    }
  }

  /** The bytes, one by one. */
  *[Symbol.iterator](): Generator<number, void, undefined> {
    for (let position = 0; position < this.sizeBytes; position++)
      yield content.byteAt(this.chain(), position);
  }

  /**
   * Writes the content as the kernel's scatter list: a `struct iovec` (two 64-bit words: address, length)
   * for each fragment. The buffer must keep its fragments until the kernel is done; hold a `share()`.
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
}
