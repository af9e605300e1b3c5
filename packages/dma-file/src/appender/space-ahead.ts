import { type Completion, ERRNO, OutOfMemoryError, SunstarError } from '@sunstar/runtime';
import { alignDown, alignUp } from '../alignment.js';
import type { AppendTarget } from './append-target.js';
import { openAppenders } from './chunk-cache.js';
import type { ResolvedAppenderOptions } from './options.js';
import type { WriteQueue } from './write-queue.js';
import { ZeroBlock } from './zero-block.js';

/** After fallocate found the disk full, it is tried again at most this often. */
const RETRY_MS = 200;
/** Largest write of zeros. */
const ZERO_BYTES_MAX = 1024 * 1024;

/** Who learns that an allocation or a write of zeros ended. */
export interface SpaceListener {
  spaceProgressed(): void;
}

/**
 * Keeps space allocated, and where it pays zeros written, ahead of the append position, in the background:
 * no append ever waits for it.
 *
 * The size of the file grows with the allocation; otherwise every write would change it and fdatasync would
 * have to commit that. Whoever reads the file after a crash finds zeros at its end.
 */
export class SpaceAhead {
  readonly #target: AppendTarget;
  readonly #queue: WriteQueue;
  readonly #options: ResolvedAppenderOptions;
  readonly #listener: SpaceListener;
  readonly #allocation: Completion;
  readonly #zeroing: Completion;
  #allocated: number;
  #zeroed: number;
  #step: number;
  #pendingFrom = 0;
  #pendingEnd = -1;
  #zeroEnd = -1;
  readonly #zeros: ZeroBlock;
  /** Zeros are being written, until they reach far enough. */
  #isZeroing = false;
  #canAllocate: boolean;
  #canZero: boolean;
  #isStopped = false;
  #isDiskFull = false;
  #lastFullMs = 0;
  #allocations = 0;
  #zeroedBytes = 0;

  constructor(
    target: AppendTarget,
    queue: WriteQueue,
    options: ResolvedAppenderOptions,
    allocated: number,
    listener: SpaceListener,
  ) {
    this.#target = target;
    this.#queue = queue;
    this.#options = options;
    this.#listener = listener;
    this.#allocated = allocated;
    this.#zeroed = alignUp(allocated, target.pageBytes);
    const { chunkBytes, zeroAheadBytes } = options;
    // Few large writes: after each one the next sync has metadata to write.
    const zeroBytes = Math.max(
      chunkBytes,
      Math.min(ZERO_BYTES_MAX, alignDown(zeroAheadBytes / 4, chunkBytes)),
    );
    this.#zeros = new ZeroBlock(target.memory, zeroBytes, target.pageBytes);
    this.#step = options.allocationStepBytes;
    this.#canAllocate = options.allocationStepBytes > 0;
    this.#canZero = options.zeroAheadBytes > 0;
    this.#allocation = { complete: (result) => this.#allocationCompleted(result) };
    this.#zeroing = { complete: (result) => this.#zeroingCompleted(result) };
  }

  /** How far the file has space; appends up to here do not fail for want of it. */
  get allocated(): number {
    return this.#allocated;
  }

  /** fallocate calls that succeeded. */
  get allocations(): number {
    return this.#allocations;
  }

  /** Bytes of zeros that were written. */
  get zeroedBytes(): number {
    return this.#zeroedBytes;
  }

  /** Nothing is in flight. */
  get isIdle(): boolean {
    return this.#pendingEnd < 0 && this.#zeroEnd < 0;
  }

  /** Whether the disk is known to have no room for bytes up to `end`. */
  isFullAt(end: number): boolean {
    return this.#isDiskFull && end > this.#allocated;
  }

  /**
   * Allocates the next step when less than half of one is left after `end`. Called with the end of every
   * append, also of one that was refused because the disk is full.
   */
  ensure(end: number): void {
    if (!this.#canAllocate || this.#isStopped || this.#pendingEnd >= 0) return;
    if (this.#allocated - end >= this.#step / 2) return;
    if (this.#isDiskFull && this.#target.nowMs - this.#lastFullMs < RETRY_MS) return;
    const { chunkBytes, allocationStepBytes, segmentBytes } = this.#options;
    // As far as the segment is expected to grow, there is nothing to allocate ahead.
    if (segmentBytes > 0 && this.#allocated === segmentBytes && end <= segmentBytes) return;
    const free = this.#target.freeDiskBytes();
    if (free >= 0) {
      const share = alignDown(Math.floor(free / this.#shares() / 2), chunkBytes);
      this.#step = Math.max(chunkBytes, Math.min(allocationStepBytes, share));
    }
    this.#allocate(Math.max(this.#allocated, alignDown(end, chunkBytes)));
  }

  /** How many appenders grow on this disk, as far as this shard can know. */
  #shares(): number {
    const { diskShares } = this.#options;
    return diskShares > 0 ? diskShares : this.#target.shardCount * openAppenders(this.#target.memory);
  }

  #allocate(from: number): void {
    const { chunkBytes, segmentBytes } = this.#options;
    this.#pendingFrom = from;
    this.#pendingEnd = alignDown(from + this.#step, chunkBytes);
    if (from < segmentBytes && this.#pendingEnd > segmentBytes) this.#pendingEnd = segmentBytes;
    this.#target.submitAllocate(this.#allocation, from, this.#pendingEnd - from);
  }

  #allocationCompleted(result: number): void {
    const end = this.#pendingEnd;
    this.#pendingEnd = -1;
    if (result >= 0) {
      this.#allocations++;
      this.#isDiskFull = false;
      if (end > this.#allocated) this.#allocated = end;
    } else if (result === -ERRNO.ENOSPC || result === -ERRNO.EDQUOT || result === -ERRNO.EFBIG) {
      const smaller = alignDown(Math.floor(this.#step / 2), this.#options.chunkBytes);
      if (smaller > 0 && !this.#isStopped) {
        this.#step = smaller;
        this.#allocate(this.#pendingFrom);
        return;
      }
      this.#isDiskFull = true;
      this.#lastFullMs = this.#target.nowMs;
    } else {
      // A file system without fallocate, or a file that was closed underneath: the writes themselves will tell.
      this.#canAllocate = false;
    }
    this.#listener.spaceProgressed();
  }

  /**
   * Writes zeros ahead while flushes are small. Called after every flush, when it delays nobody.
   *
   * @param appended - File position after the last appended byte.
   * @param flushBytes - How many bytes a flush covers on average.
   */
  zeroAhead(appended: number, flushBytes: number): void {
    const { zeroAheadBytes, zeroAheadMaxFlushBytes, chunkBytes } = this.#options;
    if (!this.#canZero || this.#isStopped || this.#zeroEnd >= 0 || flushBytes > zeroAheadMaxFlushBytes)
      return;
    const from = Math.max(this.#zeroed, alignUp(appended, this.#target.pageBytes));
    if (!this.#isZeroing && from - appended >= zeroAheadBytes / 2) return;
    const { sizeBytes } = this.#zeros;
    const end = Math.min(alignDown(from + sizeBytes, chunkBytes), alignDown(this.#allocated, chunkBytes));
    this.#isZeroing = end > from && end - appended <= zeroAheadBytes && this.#canHoldZeros();
    if (!this.#isZeroing) return;
    this.#zeroEnd = end;
    this.#queue.hold(from, end);
    this.#target.submitWrite(this.#zeroing, from, this.#zeros.hold(), end - from);
  }

  /** False while memory is short: writing ahead can wait. */
  #canHoldZeros(): boolean {
    try {
      this.#zeros.hold();
      return true;
    } catch (error) {
      if (error instanceof OutOfMemoryError) return false;
      throw error;
    }
  }

  #zeroingCompleted(result: number): void {
    const end = this.#zeroEnd;
    this.#zeroEnd = -1;
    if (result >= 0) {
      this.#zeroed = end;
      this.#zeroedBytes += result;
    } else {
      this.#canZero = false;
      this.#zeros.release();
    }
    this.#queue.release();
    this.#listener.spaceProgressed();
  }

  /** Starts nothing more; `isIdle` tells when what is in flight has ended. */
  stop(): void {
    this.#isStopped = true;
    if (this.#zeroEnd < 0) this.#zeros.release();
  }

  /** Starts over with a file of `size` bytes that were all written, after `stop()`; nothing may be in flight. */
  restart(size: number): void {
    if (!this.isIdle) throw new SunstarError('SUNSTAR_INVARIANT', 'SpaceAhead: restarted while busy.');
    this.#zeros.release();
    this.#isZeroing = false;
    this.#isStopped = false;
    this.#isDiskFull = false;
    this.#allocated = size;
    this.#zeroed = alignUp(size, this.#target.pageBytes);
  }

  invariants(): void {
    if (this.#zeroEnd >= 0 && !this.#zeros.isHeld) {
      throw new SunstarError(
        'SUNSTAR_INVARIANT',
        'SpaceAhead: zeros are written from memory that was released.',
      );
    }
    if (this.#zeroEnd > this.#allocated) {
      throw new SunstarError('SUNSTAR_INVARIANT', 'SpaceAhead: zeros are written beyond the allocation.');
    }
  }
}
