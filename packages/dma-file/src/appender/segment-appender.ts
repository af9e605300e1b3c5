import type { Writable } from 'node:stream';
import type { IOBuf } from '@sunstar/iobuf';
import { inThisGroup, type SunstarError } from '@sunstar/runtime';
import { appenderBusyError, appenderClosedError, appenderSealedError, checkOffset } from '../errors.js';
import { writableOf } from '../streams/adapters.js';
import { AppendPipeline } from './append-pipeline.js';
import type { AppendTarget } from './append-target.js';
import { Signal } from './deferred.js';
import type { SegmentAppenderOptions } from './options.js';
import { OrderedWrites } from './ordered-writes.js';
import type { SegmentAppenderStats } from './stats.js';

/**
 * Appends records of any size and alignment to a file with O_DIRECT, and makes them durable with as few syncs
 * as possible.
 *
 * `append()` copies and returns at once. Full chunks are written behind, several at a time and completing in
 * any order. Flushes run in rounds: one round writes everything appended so far and syncs once, for everyone
 * who asked; whoever asks meanwhile joins the next round. So the rate of syncs is bounded by the device, not
 * by the number of writers.
 *
 * Always: flushed ≤ stable ≤ appended. Bytes up to `flushed` survive a power cut; after a crash the file
 * holds them, perhaps some of the bytes behind them, and then zeros: records must tell where they end and
 * carry a checksum.
 *
 * Errors: a failed write (a full disk, say) is reported to every waiter and keeps the bytes; `retry()` writes
 * them again. A failed fdatasync poisons the appender for good.
 *
 * One shard owns an appender; nothing here may be called from another. After Redpanda's segment appender.
 */
export class SegmentAppender implements AsyncDisposable {
  readonly #target: AppendTarget;
  readonly #pipeline: AppendPipeline;
  readonly #writes: OrderedWrites = new OrderedWrites(this);
  readonly #onFlushed: ((offset: number) => void) | undefined;
  readonly #onError: ((error: SunstarError) => void) | undefined;
  readonly #room: Signal = new Signal();
  #truncating: Promise<void> | null = null;
  #sealing: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  private constructor(target: AppendTarget, options: SegmentAppenderOptions, position: number, size: number) {
    this.#target = target;
    this.#onFlushed = options.onFlushed;
    this.#onError = options.onError;
    this.#pipeline = new AppendPipeline(target, options, position, size, {
      progressed: () => this.#wakeRoom(),
      flushedTo: (offset) => this.#flushedTo(offset),
      failed: (error) => this.#failed(error),
    });
  }

  /**
   * Opens an appender on a file that is open for reading and writing. The appender owns the file from now on
   * and closes it, also when this call fails.
   *
   * What the file holds after `options.position` is cut off, durably, before the first append, unless it is
   * recycled; what is before it is synced, for who wrote it may have died before the sync. The first allocation is awaited; when the disk is full the appender opens all the same, and `append()` says so.
   */
  static async open(target: AppendTarget, options: SegmentAppenderOptions = {}): Promise<SegmentAppender> {
    let appender: SegmentAppender | null = null;
    try {
      const size = await target.size();
      const position = options.position ?? size;
      checkOffset('The position to append at', position, size);
      const kept = options.recycle === true ? size : position;
      appender = new SegmentAppender(target, options, position, kept);
      const pipeline = appender.#pipeline;
      await pipeline.cut(position, options.recycle === true ? position : size);
      pipeline.ensureSpace();
      await pipeline.quiesce();
      return appender;
    } catch (error) {
      if (appender !== null) await appender.#pipeline.release();
      await target.close();
      throw error;
    }
  }

  /** File position after the last appended byte. */
  get appended(): number {
    return this.#pipeline.appended;
  }

  /** File position up to which everything is written, though not necessarily synced. */
  get stable(): number {
    return this.#pipeline.stable;
  }

  /** File position up to which everything survives a power cut. */
  get flushed(): number {
    return this.#pipeline.flushed;
  }

  /** Accepted bytes that are not written yet. */
  get bufferedBytes(): number {
    return this.#pipeline.bufferedBytes;
  }

  /** Whether `append()` takes bytes now. */
  get hasRoom(): boolean {
    return (
      this.#pipeline.hasRoom && this.#truncating === null && this.#sealing === null && this.#closing === null
    );
  }

  /** The error that stopped the appender, or null. */
  get failure(): SunstarError | null {
    return this.#pipeline.failure;
  }

  /** Counters since the appender was opened. */
  get stats(): SegmentAppenderStats {
    return this.#pipeline.stats;
  }

  /**
   * Copies bytes to the end of the log and returns the file position after them. Nothing is durable until a
   * flush that was asked for afterwards reports at least that offset.
   *
   * All or nothing. Throws SUNSTAR_APPENDER_FULL (see `hasRoom`), SUNSTAR_ENOSPC when the disk is known to be
   * full, SUNSTAR_OUT_OF_MEMORY when the arena is, SUNSTAR_APPENDER_CLOSED, SUNSTAR_APPENDER_BUSY during a
   * truncate, and whatever stopped the appender before.
   *
   * @param data - Bytes from anywhere, or an IOBuf of this shard; stays the caller's.
   */
  append(data: Uint8Array | IOBuf): number {
    const length = data instanceof Uint8Array ? data.length : data.sizeBytes;
    if (length === 0) return this.appended;
    this.#admit(length);
    return this.#pipeline.append(data);
  }

  /** The same for several pieces, all of them or none: a header and what follows it. */
  appendParts(parts: readonly Uint8Array[]): number {
    let total = 0;
    for (const part of parts) total += part.length;
    if (total === 0) return this.appended;
    this.#admit(total);
    return this.#pipeline.appendParts(parts, total);
  }

  /** The same for `length` bytes at an offset of the shard's arena; makes no object. */
  appendRange(memoryOffset: number, length: number): number {
    if (length === 0) return this.appended;
    this.#admit(length);
    return this.#pipeline.appendRange(memoryOffset, length);
  }

  /**
   * Like `append()`, but waits while `hasRoom` is false. Writes take effect in the order of the calls (`append()`
   * does not wait behind them); the data must not change until the promise settles. Resolves with the file position after the data, which says nothing
   * about durability.
   */
  write(data: Uint8Array | IOBuf): Promise<number> {
    return this.#writes.write(data);
  }

  /**
   * Resolves with the flushed offset once everything appended before this call survives a power cut: after an
   * fdatasync that started when those bytes were written. Callers at the same offset share one promise.
   */
  flush(): Promise<number> {
    if (this.#closing !== null) return Promise.reject(appenderClosedError());
    return inThisGroup(this.#pipeline.flush());
  }

  /** Asks for a flush without a promise: `onFlushed` reports it, `onError` its failure. */
  requestFlush(): void {
    if (this.#closing === null) this.#pipeline.requestFlush();
  }

  /** Resolves when `hasRoom` is true, rejects with what stopped the appender. */
  waitForRoom(): Promise<void> {
    if (this.failure !== null) return Promise.reject(this.failure);
    if (this.#closing !== null) return Promise.reject(appenderClosedError());
    if (this.#sealing !== null) return Promise.reject(appenderSealedError());
    return this.hasRoom ? Promise.resolve() : this.#room.wait();
  }

  /**
   * After a failed write: writes the bytes again that are still in memory, in the hope that there is room now.
   * It may fail again: ext4, for one, hands freed blocks out only after a commit of its journal. Throws what
   * stopped the appender when that was not a write.
   */
  retry(): void {
    if (this.#closing !== null) throw appenderClosedError();
    this.#pipeline.retry();
    this.#wakeRoom();
  }

  /**
   * Cuts the log at a file position that was appended before; the cut is durable when the promise resolves.
   * `append()` is refused meanwhile. Waiters of earlier flushes are answered first.
   */
  async truncate(sizeBytes: number): Promise<void> {
    this.#checkOpen();
    checkOffset('The size to truncate to', sizeBytes, this.appended);
    this.#truncating = this.#truncate(sizeBytes).finally(() => {
      this.#truncating = null;
      this.#wakeRoom();
    });
    await inThisGroup(this.#truncating);
  }

  /**
   * Completes the file: flushes, and cuts off what was allocated ahead so that the file ends with the last appended
   * byte, durably. The file stays open, for reading from it; `append()` throws SUNSTAR_APPENDER_SEALED from now on.
   * When that fails because of a write, the appender is as before: `retry()`, then seal again.
   */
  seal(): Promise<void> {
    if (this.#closing !== null) return Promise.reject(appenderClosedError());
    return inThisGroup(this.#seal());
  }

  /**
   * Seals and closes the file. Rejects when bytes could not be made durable; memory and descriptor are released
   * anyway.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return inThisGroup(this.#closing);
  }

  /** A Node stream into the log; finishing it seals and closes the file. */
  toWritable(): Writable {
    return writableOf(this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw appenderClosedError();
    if (this.#sealing !== null) throw appenderSealedError();
    if (this.failure !== null) throw this.failure;
    if (this.#truncating !== null) throw appenderBusyError();
  }

  #admit(length: number): void {
    this.#checkOpen();
    this.#pipeline.admit(length);
  }

  #flushedTo(offset: number): void {
    if (this.#truncating === null && this.#sealing === null) this.#pipeline.zeroAhead();
    this.#onFlushed?.(offset);
  }

  #failed(error: SunstarError): void {
    this.#room.reject(error);
    this.#onError?.(error);
  }

  #wakeRoom(): void {
    if (this.hasRoom) this.#room.resolve();
  }

  async #truncate(sizeBytes: number): Promise<void> {
    const pipeline = this.#pipeline;
    await pipeline.flush();
    await pipeline.stopAhead();
    try {
      await pipeline.cut(sizeBytes, Number.POSITIVE_INFINITY);
    } finally {
      pipeline.restartAhead();
    }
    pipeline.ensureSpace();
  }

  #seal(): Promise<void> {
    this.#sealing ??= this.#complete().catch((error: unknown) => {
      this.#sealing = null;
      throw error;
    });
    return this.#sealing;
  }

  async #complete(): Promise<void> {
    const pipeline = this.#pipeline;
    // A truncate that is running ends first; whoever called it learns its result.
    await Promise.allSettled([this.#truncating]);
    await pipeline.flush();
    this.#room.reject(appenderSealedError());
    await pipeline.stopAhead();
    try {
      await pipeline.trim();
    } catch (error) {
      pipeline.restartAhead();
      throw error;
    }
  }

  async #close(): Promise<void> {
    try {
      await this.#seal();
    } finally {
      this.#room.reject(appenderClosedError());
      await this.#pipeline.stopAhead();
      await this.#pipeline.release();
      await this.#target.close();
    }
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#pipeline.invariants();
  }
}
