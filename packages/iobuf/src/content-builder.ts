import * as appending from './append.js';
import type { BlockOwner } from './block.js';
import { advance, pushBack, releaseAll } from './chain.js';
import { ContentView } from './content-view.js';
import { checkInteger, invalidArgumentError } from './errors.js';
import { wrap } from './foreign.js';
import { FRAGMENT_SIZE_BYTES_MAX } from './growth.js';
import { Placeholder } from './placeholder.js';
import * as reserving from './reserve.js';
import { splice } from './splice.js';
import { Writer } from './writer.js';

/** Throws SUNSTAR_INVALID_ARGUMENT unless it is a buffer. */
export function checkBuffer(name: string, value: unknown): void {
  if (!(value instanceof ContentBuilder)) throw invalidArgumentError(name, 'an IOBuf', value);
}

/** The part of an IOBuf that adds content: by copy, by link, in place. */
export abstract class ContentBuilder extends ContentView {
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
    appending.appendRange(chain, chain.bytes, offset, sizeBytes);
    return this;
  }

  /**
   * Adds the content of another buffer, fragment by fragment, in the cheapest way: a fragment that is not
   * larger than the capacity of this buffer's last one (512 bytes if there is none) is copied, a larger one
   * is linked without a copy. `other` stays as it is, and its owner's; it may be this buffer.
   */
  appendIOBuf(other: ContentBuilder): this {
    checkBuffer('other', other);
    appending.appendChain(this.chain(), other.chain());
    return this;
  }

  /** Like {@link appendIOBuf}, but links every fragment, however small. */
  link(other: ContentBuilder): this {
    checkBuffer('other', other);
    appending.linkChain(this.chain(), other.chain());
    return this;
  }

  /** Moves all fragments of `other` behind the content, in constant time. `other` is empty afterwards. */
  take(other: ContentBuilder): this {
    checkBuffer('other', other);
    appending.takeChain(this.chain(), other.chain());
    return this;
  }

  /** Puts bytes, a string or the fragments of another buffer (linked) in front, as new fragments. */
  prepend(data: Uint8Array | string | ContentBuilder): this {
    const chain = this.chain();
    if (data instanceof ContentBuilder) appending.prependChain(chain, data.chain());
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
    if (owner !== null && sizeBytes !== 0) {
      pool.pushWindow(chain, block, from, end);
      return this;
    }
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

  /**
   * Appends a byte array as a fragment without a copy. The array must keep its bytes and its ArrayBuffer until
   * `release` is called: when the last buffer that refers to it has let go, on this thread, exactly once. An
   * ArrayBuffer that is transferred meanwhile makes reads throw `SUNSTAR_IOBUF_DETACHED`.
   *
   * A wrapped fragment is outside of the arena and may be larger than 128 KiB. It has no `fragmentOffset`; see
   * {@link ContentView.isLocal} and `localize()`.
   */
  wrap(bytes: Uint8Array, release?: (bytes: Uint8Array) => void): this {
    const chain = this.chain();
    if (!(bytes instanceof Uint8Array)) throw invalidArgumentError('bytes', 'a Uint8Array', bytes);
    if (release !== undefined && typeof release !== 'function') {
      throw invalidArgumentError('release', 'a function', release);
    }
    wrap(chain, bytes, release);
    return this;
  }

  /** Puts bytes, a string or the fragments of another buffer (linked) between the bytes at `position`. Moves no byte. */
  insert(position: number, data: Uint8Array | string | ContentBuilder): this {
    const chain = this.chain();
    checkInteger('position', position, 0, chain.size);
    const { pool } = chain;
    const front = pool.acquireChain();
    const removed = pool.acquireChain();
    try {
      if (data instanceof ContentBuilder) appending.linkChain(front, data.chain());
      else if (typeof data === 'string') appending.prependBytes(front, Buffer.from(data));
      else if (data instanceof Uint8Array) appending.prependBytes(front, data);
      else throw invalidArgumentError('data', 'a Uint8Array, a string or an IOBuf', data);
      splice(chain, position, 0, front, removed);
      return this;
    } finally {
      releaseAll(front);
      pool.recycleChain(front);
      pool.recycleChain(removed);
    }
  }

  /** A {@link Writer}, for encoders that append many small fields. @param chunkBytes - 64 to 131072. @defaultValue 4096 */
  writer(chunkBytes = 4096): Writer {
    const chain = this.chain();
    checkInteger('chunkBytes', chunkBytes, 64, FRAGMENT_SIZE_BYTES_MAX);
    return new Writer(this, chain, chunkBytes);
  }

  /** @internal */
  protected override claim(sizeBytes: number): number {
    const chain = this.chain();
    const tail = appending.contiguousTail(chain, sizeBytes);
    const at = tail.end;
    advance(chain, tail, sizeBytes);
    return at;
  }

  /** @internal */
  protected override arenaView(): DataView {
    return this.chain().view;
  }

  /** @internal */
  protected override arenaBytes(): Buffer {
    return this.chain().bytes;
  }
}
