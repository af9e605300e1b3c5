import { currentShard, type ShardMemory } from '@sunstar/runtime';
import * as appending from './append.js';
import { type Chain, checkChain, releaseAll } from './chain.js';
import { ContentBuilder } from './content-builder.js';
import { Cursor } from './cursor.js';
import { DEBUG, noteEnded, noteMade } from './debug.js';
import { checkInteger, detachedError, disposedError, invalidArgumentError, movedError } from './errors.js';
import { localize } from './foreign.js';
import type { Fragment } from './fragment.js';
import { poolOf } from './pool.js';
import { splice, takeFront } from './splice.js';
import { setWindow, shareInto, trimBack, trimFront } from './window.js';

/** By default `split` makes at most so many pieces. */
const PIECES_MAX = 65536;

/** The chain of the next handle. */
let acquired: Chain;

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
export class IOBuf extends ContentBuilder {
  // Never null, and of one class from the start: V8 then need not look what it holds.
  #chain: Chain = acquired;
  #moved = false;

  /** @param memory - Where fragments come from. @defaultValue the memory of the current shard */
  constructor(memory: ShardMemory = currentShard().memory) {
    const chain = poolOf(memory).acquireChain();
    acquired = chain;
    super();
    if (DEBUG) noteMade(this, () => chain.size);
  }

  /** A buffer over `bytes` without a copy; see {@link ContentBuilder.wrap}. */
  static wrap(bytes: Uint8Array, release?: (bytes: Uint8Array) => void, memory?: ShardMemory): IOBuf {
    const buffer = new IOBuf(memory);
    try {
      return buffer.wrap(bytes, release);
    } catch (error) {
      buffer[Symbol.dispose]();
      throw error;
    }
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
    if (chain.poolNumber === 0) throw this.#moved ? movedError(this) : disposedError(this);
    // Somebody transferred the arena itself away.
    if (chain.bytes.length === 0) throw detachedError();
    return chain;
  }

  /** Gives all references to memory back. Doing it again does nothing. */
  [Symbol.dispose](): void {
    const chain = this.#chain;
    if (this.isDisposed) return;
    this.#chain = chain.pool.spent;
    if (DEBUG) noteEnded(this, 'disposed');
    releaseAll(chain);
    chain.pool.recycleChain(chain);
  }

  /** Whether the buffer was disposed, or its content moved away. */
  override get isDisposed(): boolean {
    return this.#chain.poolNumber === 0;
  }

  /** The memory that fragments come from; fragment offsets are indexes into its `bytes`. */
  get memory(): ShardMemory {
    return this.chain().pool.memory;
  }

  /**
   * Links a buffer of one fragment, which is what a socket or a parser has, without the calls that the general case
   * needs: they would cost as much as the work.
   */
  override link(other: ContentBuilder): this {
    const chain = this.#chain;
    let from: Chain;
    try {
      from = (other as IOBuf).#chain;
    } catch {
      // Not an IOBuf, which the general case tells. To ask before would cost more than to link does.
      return super.link(other);
    }
    if (from.poolNumber === chain.poolNumber && from.count === 1) {
      const head = from.head as Fragment;
      const { tail } = chain;
      if (tail === null) {
        chain.pool.pushFirst(chain, head.block, head.start, head.end);
        return this;
      }
      if (tail.limit === tail.end) {
        chain.pool.pushWindow(chain, head.block, head.start, head.end);
        return this;
      }
    }
    return super.link(other);
  }

  // — Windows and removal —

  /**
   * A buffer that sees `sizeBytes` bytes from `position` without a copy. The caller disposes it.
   *
   * @param into - A buffer to use instead of a new one, so that nothing is left to the garbage collector; what it
   *   held is dropped.
   */
  share(position = 0, sizeBytes?: number, into?: IOBuf): IOBuf {
    const chain = this.chain();
    checkInteger('position', position, 0, chain.size);
    const length = sizeBytes ?? chain.size - position;
    checkInteger('sizeBytes', length, 0, chain.size - position);
    const shared = into === undefined ? new IOBuf(chain.pool.memory) : this.#checked(chain, into);
    shareInto(shared.chain(), chain, position, length);
    return shared;
  }

  /** @internal Like {@link share}, of a window in one fragment of this buffer. */
  shareWindow(fragment: Fragment, start: number, end: number, into?: IOBuf): IOBuf {
    const chain = this.chain();
    const shared = into === undefined ? new IOBuf(chain.pool.memory) : this.#checked(chain, into);
    setWindow(shared.chain(), fragment, start, end);
    return shared;
  }

  /** Like {@link share}, by positions: the bytes from `start` up to `end`. */
  slice(start = 0, end?: number, into?: IOBuf): IOBuf {
    const chain = this.chain();
    const until = end ?? chain.size;
    checkInteger('end', until, 0, chain.size);
    checkInteger('start', start, 0, until);
    const shared = into === undefined ? new IOBuf(chain.pool.memory) : this.#checked(chain, into);
    shareInto(shared.chain(), chain, start, until - start);
    return shared;
  }

  /**
   * A buffer with a copy of the content, in exactly one fragment up to 16 KiB. The caller disposes it.
   *
   * @param into - See {@link share}. Empty when memory runs out.
   */
  copy(into?: IOBuf): IOBuf {
    const chain = this.chain();
    const copied = this.#target(chain, into);
    try {
      appending.copyChain(copied.chain(), chain);
      return copied;
    } catch (error) {
      if (into === undefined) copied[Symbol.dispose]();
      else copied.clear();
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

  /** Moves the first `sizeBytes` bytes out, without a copy. The caller disposes the result. @param into - See {@link share}. */
  takeFront(sizeBytes: number, into?: IOBuf): IOBuf {
    const chain = this.chain();
    checkInteger('sizeBytes', sizeBytes, 0, chain.size);
    const target = this.#target(chain, into);
    takeFront(chain, sizeBytes, target.chain());
    return target;
  }

  /**
   * Moves everything in front of the next `delimiter` out, without a copy, and drops the delimiter. Returns
   * null and changes nothing when there is none. The caller disposes the result.
   */
  takeUntil(delimiter: number | Uint8Array | string, into?: IOBuf): IOBuf | null {
    const mark = markOf(delimiter);
    const at = this.indexOf(mark);
    if (at < 0) return null;
    const target = this.takeFront(at, into);
    trimFront(this.chain(), typeof mark === 'number' ? 1 : mark.length);
    return target;
  }

  /** Moves everything from `position` on out, without a copy. The caller disposes the result. */
  splitAt(position: number, into?: IOBuf): IOBuf {
    const chain = this.chain();
    checkInteger('position', position, 0, chain.size);
    const target = this.#target(chain, into);
    splice(chain, position, chain.size - position, null, target.chain());
    return target;
  }

  /**
   * The pieces between the delimiters, as shares; n delimiters make n + 1 pieces. The caller disposes them.
   *
   * @param maxPieces - The last piece holds the rest, delimiters included. @defaultValue 65536
   */
  split(delimiter: number | Uint8Array | string, maxPieces: number = PIECES_MAX): IOBuf[] {
    const mark = markOf(delimiter);
    checkInteger('maxPieces', maxPieces, 1, Number.MAX_SAFE_INTEGER);
    const length = typeof mark === 'number' ? 1 : mark.length;
    const pieces: IOBuf[] = [];
    let start = 0;
    while (pieces.length < maxPieces - 1) {
      const at = this.indexOf(mark, start);
      if (at < 0) break;
      pieces.push(this.share(start, at - start));
      start = at + length;
    }
    pieces.push(this.share(start));
    return pieces;
  }

  /**
   * Replaces `deleteBytes` bytes from `position` by `data` (bytes and strings are copied, a buffer is linked) and
   * returns what was there. Moves no other byte. The caller disposes the result.
   */
  splice(
    position: number,
    deleteBytes: number,
    data?: Uint8Array | string | ContentBuilder,
    into?: IOBuf,
  ): IOBuf {
    const chain = this.chain();
    checkInteger('position', position, 0, chain.size);
    checkInteger('deleteBytes', deleteBytes, 0, chain.size - position);
    // First what can fail.
    if (data !== undefined) this.insert(position + deleteBytes, data);
    const removed = this.#target(chain, into);
    splice(chain, position, deleteBytes, null, removed.chain());
    return removed;
  }

  /** Replaces every fragment outside of the arena (wrapped, or of another shard) by a copy in it. */
  localize(): this {
    const chain = this.chain();
    if (!this.isLocal) localize(chain);
    return this;
  }

  /**
   * Hands the content over: the result is a new buffer with it, and any further use of this one throws
   * `SUNSTAR_IOBUF_MOVED`, in debug mode with the stack of the move. Moves no byte.
   */
  move(): IOBuf {
    const chain = this.chain();
    const target = new IOBuf(chain.pool.memory);
    const spare = target.chain();
    target.#chain = chain;
    this.#chain = chain.pool.spent;
    this.#moved = true;
    chain.epoch++;
    spare.pool.recycleChain(spare);
    if (DEBUG) {
      noteEnded(this, 'moved');
      noteMade(target, () => chain.size);
    }
    return target;
  }

  /** @internal The content moved to another shard; nothing happens when the buffer was disposed meanwhile. */
  endAsMoved(): void {
    const chain = this.#chain;
    if (this.isDisposed) return;
    this.#chain = chain.pool.spent;
    this.#moved = true;
    if (DEBUG) noteEnded(this, 'moved');
    releaseAll(chain);
    chain.pool.recycleChain(chain);
  }

  /** @internal */
  contentChain(): Chain {
    return this.chain();
  }

  /** A reader over the content; see {@link Cursor}. */
  cursor(): Cursor {
    return new Cursor(this, this.chain());
  }

  /** Throws `SUNSTAR_INVARIANT` if the buffer contradicts itself. For tests. */
  invariants(): void {
    checkChain(this.chain());
  }
  #target(chain: Chain, into: IOBuf | undefined): IOBuf {
    if (into === undefined) return new IOBuf(chain.pool.memory);
    releaseAll(this.#checked(chain, into).chain());
    return into;
  }

  #checked(chain: Chain, into: IOBuf): IOBuf {
    if (!(into instanceof IOBuf)) throw invalidArgumentError('into', 'an IOBuf', into);
    const target = into.chain();
    if (target === chain || target.pool !== chain.pool) {
      throw invalidArgumentError('into', 'another buffer over the same memory', into);
    }
    return into;
  }
}

function markOf(delimiter: number | Uint8Array | string): number | Uint8Array {
  const mark = typeof delimiter === 'string' ? Buffer.from(delimiter) : delimiter;
  if (typeof mark === 'number' || (mark instanceof Uint8Array && mark.length > 0)) return mark;
  throw invalidArgumentError('delimiter', 'a byte or a sequence that is not empty', delimiter);
}
