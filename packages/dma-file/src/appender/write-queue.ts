import { SunstarError } from '@sunstar/runtime';
import type { AppendTarget } from './append-target.js';
import type { Chunk, ChunkCache } from './chunk-cache.js';
import { EXTENT_STATE, Extent, type ExtentListener } from './extent.js';

/** Who follows the progress of a {@link WriteQueue}. */
export interface WriteListener {
  /** The contiguous prefix of written bytes grew, or the last write in flight ended. */
  writesProgressed(): void;
  /** A write failed; nothing more is dispatched until `resume()`. */
  writeFailed(result: number, isDurable: boolean): void;
}

/**
 * The extents of an appender in file order. Up to `maxInFlight` are written at the same time and complete in
 * any order; `stable` is the end of the contiguous prefix that is written.
 *
 * Two extents overlap only when they are neighbours that share a page. The later one, which holds all bytes of
 * the earlier one in that page, waits for it; extents behind it need not.
 */
export class WriteQueue implements ExtentListener {
  readonly #target: AppendTarget;
  readonly #pool: ChunkCache;
  readonly #maxInFlight: number;
  readonly #listener: WriteListener;
  readonly #extents: Extent[] = [];
  readonly #unused: Extent[] = [];
  #queued = 0;
  #inFlight = 0;
  #isHalted = false;
  #stable: number;
  /** A range of the file that someone else writes: extents that touch it wait. */
  #heldFrom = 0;
  #heldTo = 0;
  #writes = 0;
  #writtenBytes = 0;

  constructor(
    target: AppendTarget,
    pool: ChunkCache,
    maxInFlight: number,
    position: number,
    listener: WriteListener,
  ) {
    this.#target = target;
    this.#pool = pool;
    this.#maxInFlight = maxInFlight;
    this.#stable = position;
    this.#listener = listener;
  }

  /** End of the contiguous prefix of bytes that are written (not necessarily synced). */
  get stable(): number {
    return this.#stable;
  }

  /** Whether every extent that was pushed is written. */
  get isEmpty(): boolean {
    return this.#extents.length === 0;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Writes completed so far. */
  get writes(): number {
    return this.#writes;
  }

  /** Bytes written so far, padding and rewritten pages included. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Whether the extent pushed last is not written yet, so that its memory must not change. */
  get isTailPending(): boolean {
    const last = this.#extents[this.#extents.length - 1];
    return last !== undefined && last.state !== EXTENT_STATE.done;
  }

  /** An unused extent of a chunk, for `push` or `pushDurable`. */
  take(chunk: Chunk): Extent {
    const extent = this.#unused.pop() ?? new Extent(this, chunk);
    extent.chunk = chunk;
    extent.state = EXTENT_STATE.queued;
    extent.isDurable = false;
    return extent;
  }

  /** Adds the next extent in file order and writes it as soon as it may. */
  push(extent: Extent): void {
    this.#extents.push(extent);
    this.#queued++;
    this.pump();
  }

  /** Whether an extent that follows only written ones could be dispatched at once. */
  canPushDurable(extent: Extent): boolean {
    return !this.#isHeld(extent);
  }

  /** Adds an extent and makes it durable with its own write; only after `canPushDurable`. */
  pushDurable(extent: Extent): void {
    this.#extents.push(extent);
    extent.state = EXTENT_STATE.inFlight;
    extent.isDurable = true;
    this.#inFlight++;
    this.#target.submitDurableWrite(extent, extent.position, extent.memoryOffset, extent.length);
  }

  /** Dispatches what may be dispatched. */
  pump(): void {
    if (this.#isHalted) return;
    for (let i = 0; this.#queued > 0 && this.#inFlight < this.#maxInFlight && i < this.#extents.length; i++) {
      const extent = this.#extents[i];
      if (extent.state !== EXTENT_STATE.queued || this.#isHeld(extent) || this.#sharesPendingPage(i))
        continue;
      extent.state = EXTENT_STATE.inFlight;
      this.#queued--;
      this.#inFlight++;
      this.#target.submitWrite(extent, extent.position, extent.memoryOffset, extent.length);
    }
  }

  /** Extents that touch this range of the file wait until `release()`. None of them is in flight now. */
  hold(from: number, to: number): void {
    this.#heldFrom = from;
    this.#heldTo = to;
  }

  /** Ends `hold()`. */
  release(): void {
    this.#heldFrom = 0;
    this.#heldTo = 0;
    this.pump();
  }

  /** Dispatches no more writes. */
  halt(): void {
    this.#isHalted = true;
  }

  /** After a failed write: writes everything that is not on the device, from the bytes in memory. */
  resume(): void {
    this.#isHalted = false;
    for (const extent of this.#extents) {
      if (extent.state !== EXTENT_STATE.failed) continue;
      extent.state = EXTENT_STATE.queued;
      extent.isDurable = false;
      this.#queued++;
    }
    this.pump();
  }

  /** Drops every extent, written or not; nothing may be in flight. */
  discard(): void {
    if (this.#inFlight > 0) {
      throw new SunstarError('SUNSTAR_INVARIANT', 'WriteQueue: discarded with writes in flight.');
    }
    for (const extent of this.#extents) this.#recycle(extent);
    this.#extents.length = 0;
    this.#queued = 0;
  }

  /** Starts over at a file position; everything is written. */
  restart(position: number): void {
    this.discard();
    this.#stable = position;
  }

  extentCompleted(extent: Extent, result: number): void {
    this.#inFlight--;
    if (result < 0) {
      extent.state = EXTENT_STATE.failed;
      this.#isHalted = true;
      this.#listener.writeFailed(result, extent.isDurable);
      return;
    }
    extent.state = EXTENT_STATE.done;
    this.#writes++;
    this.#writtenBytes += extent.length;
    let first = this.#extents[0];
    while (first !== undefined && first.state === EXTENT_STATE.done) {
      this.#stable = first.endBytes;
      this.#extents.shift();
      this.#recycle(first);
      first = this.#extents[0];
    }
    this.pump();
    this.#listener.writesProgressed();
  }

  #recycle(extent: Extent): void {
    this.#pool.unpin(extent.chunk);
    this.#unused.push(extent);
  }

  #isHeld(extent: Extent): boolean {
    return extent.position < this.#heldTo && extent.position + extent.length > this.#heldFrom;
  }

  #sharesPendingPage(index: number): boolean {
    if (index === 0) return false;
    const before = this.#extents[index - 1];
    return (
      before.state !== EXTENT_STATE.done && before.position + before.length > this.#extents[index].position
    );
  }

  invariants(): void {
    const fail = (what: string): never => {
      throw new SunstarError('SUNSTAR_INVARIANT', `WriteQueue: ${what}.`);
    };
    let queued = 0;
    let inFlight = 0;
    let end = this.#stable;
    let busyEnd = 0;
    for (const extent of this.#extents) {
      if (extent.startBytes !== end) fail('extents do not follow each other');
      if (extent.endBytes <= extent.startBytes) fail('an extent is empty');
      if (extent.position > extent.startBytes || extent.position + extent.length < extent.endBytes) {
        fail('an extent does not cover its bytes');
      }
      if (extent.chunk.pins < 1) fail('an extent lost its chunk');
      end = extent.endBytes;
      if (extent.state === EXTENT_STATE.queued) queued++;
      if (extent.state === EXTENT_STATE.inFlight) {
        inFlight++;
        if (extent.position < busyEnd) fail('two extents in flight overlap');
        busyEnd = extent.position + extent.length;
      }
    }
    if (queued !== this.#queued) fail('the count of queued extents is wrong');
    if (inFlight !== this.#inFlight) fail('the count of extents in flight is wrong');
    if (inFlight > this.#maxInFlight) fail('more extents are in flight than allowed');
    if (this.#extents.length > 0 && this.#extents[0].state === EXTENT_STATE.done)
      fail('a done prefix stayed');
  }
}
