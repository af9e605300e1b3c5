import type { Writable } from 'node:stream';
import type { IOBuf } from '@sunstar/iobuf';
import { ERRNO, inThisGroup, type SunstarError, systemError } from '@sunstar/runtime';
import { CommitDelay } from '../dispatch/commit-delay.js';
import {
  appenderBusyError,
  appenderClosedError,
  appenderFullError,
  appenderPoisonedError,
  appenderSealedError,
  checkOffset,
  isRefusal,
} from '../errors.js';
import { operate } from '../operate.js';
import { writableOf } from '../streams/adapters.js';
import { AppendBuffer } from './append-buffer.js';
import type { AppendTarget } from './append-target.js';
import { ChunkCache } from './chunk-cache.js';
import { Signal } from './deferred.js';
import { DeferredFlush } from './deferred-flush.js';
import { type FlushListener, FlushRounds } from './flush-rounds.js';
import {
  type ResolvedAppenderOptions,
  resolveAppenderOptions,
  type SegmentAppenderOptions,
} from './options.js';
import { OrderedWrites } from './ordered-writes.js';
import { loadPartialPage } from './partial-page.js';
import { SpaceAhead, type SpaceListener } from './space-ahead.js';
import type { SegmentAppenderStats } from './stats.js';
import { type WriteListener, WriteQueue } from './write-queue.js';

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
  readonly #options: ResolvedAppenderOptions;
  readonly #pool: ChunkCache;
  readonly #queue: WriteQueue;
  readonly #buffer: AppendBuffer;
  readonly #rounds: FlushRounds;
  readonly #space: SpaceAhead;
  readonly #deferred: DeferredFlush;
  readonly #writes: OrderedWrites = new OrderedWrites(this);
  readonly #onFlushed: ((offset: number) => void) | undefined;
  readonly #onError: ((error: SunstarError) => void) | undefined;
  readonly #room: Signal = new Signal();
  readonly #quiet: Signal = new Signal();
  #failure: SunstarError | null = null;
  #truncating: Promise<void> | null = null;
  #sealing: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  private constructor(target: AppendTarget, options: SegmentAppenderOptions, position: number, size: number) {
    const resolved = resolveAppenderOptions(options, target.pageBytes);
    this.#target = target;
    this.#options = resolved;
    this.#onFlushed = options.onFlushed;
    this.#onError = options.onError;
    const listener: WriteListener & FlushListener & SpaceListener = {
      writesProgressed: () => this.#writesProgressed(),
      writeFailed: (result, isDurable) => this.#writeFailed(result, isDurable),
      flushedTo: (offset) => this.#flushedTo(offset),
      roundEnded: () => this.#checkQuiet(),
      syncFailed: (result) => this.#poison(systemError('fdatasync', result, target.path)),
      spaceProgressed: () => this.#spaceProgressed(),
    };
    this.#pool = ChunkCache.join(target.memory, resolved.chunkBytes, target.pageBytes);
    this.#queue = new WriteQueue(target, this.#pool, resolved.maxWritesInFlight, position, listener);
    this.#buffer = new AppendBuffer(target.memory, this.#pool, target.pageBytes, this.#queue, position);
    const delay = new CommitDelay(resolved.commitDelayMs);
    this.#rounds = new FlushRounds(target, this.#queue, this.#buffer, delay, position, listener);
    this.#space = new SpaceAhead(target, this.#queue, resolved, size, listener);
    this.#deferred = new DeferredFlush(target, this.#rounds, resolved.flushBytes, resolved.flushDelayMs);
  }

  /**
   * Opens an appender on a file that is open for reading and writing. The appender owns the file from now on
   * and closes it, also when this call fails.
   *
   * What the file holds after `options.position` is cut off, durably, before the first append, unless it is
   * recycled. The first allocation is awaited; when the disk is full the appender opens all the same, and `append()` says so.
   */
  static async open(target: AppendTarget, options: SegmentAppenderOptions = {}): Promise<SegmentAppender> {
    let appender: SegmentAppender | null = null;
    try {
      const size = await target.size();
      const position = options.position ?? size;
      checkOffset('The position to append at', position, size);
      const kept = options.recycle === true ? size : position;
      appender = new SegmentAppender(target, options, position, kept);
      await appender.#cut(position, options.recycle === true ? position : size);
      appender.#space.ensure(position);
      await appender.#quiesce();
      return appender;
    } catch (error) {
      if (appender !== null) await appender.#release();
      await target.close();
      throw error;
    }
  }

  /** File position after the last appended byte. */
  get appended(): number {
    return this.#buffer.appended;
  }

  /** File position up to which everything is written, though not necessarily synced. */
  get stable(): number {
    return this.#queue.stable;
  }

  /** File position up to which everything survives a power cut. */
  get flushed(): number {
    return this.#rounds.flushed;
  }

  /** Accepted bytes that are not written yet. */
  get bufferedBytes(): number {
    return this.#buffer.appended - this.#queue.stable;
  }

  /** Whether `append()` takes bytes now. */
  get hasRoom(): boolean {
    return (
      this.bufferedBytes < this.#options.maxBufferedBytes &&
      this.#failure === null &&
      this.#truncating === null &&
      this.#sealing === null &&
      this.#closing === null
    );
  }

  /** The error that stopped the appender, or null. */
  get failure(): SunstarError | null {
    return this.#failure;
  }

  /** Counters since the appender was opened. */
  get stats(): SegmentAppenderStats {
    return {
      flushes: this.#rounds.requests,
      syncs: this.#rounds.syncs,
      flushBytesAverage: this.#rounds.averageBytes,
      writes: this.#queue.writes,
      writtenBytes: this.#queue.writtenBytes,
      allocations: this.#space.allocations,
      zeroedBytes: this.#space.zeroedBytes,
    };
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
    if (data instanceof Uint8Array) {
      if (data.length === 0) return this.appended;
      this.#admit(data.length);
      this.#buffer.appendBytes(data);
    } else {
      if (data.sizeBytes === 0) return this.appended;
      this.#admit(data.sizeBytes);
      this.#buffer.appendIOBuf(data);
    }
    return this.#appended();
  }

  /** The same for several pieces, all of them or none: a header and what follows it. */
  appendParts(parts: readonly Uint8Array[]): number {
    let total = 0;
    for (const part of parts) total += part.length;
    if (total === 0) return this.appended;
    this.#admit(total);
    this.#buffer.appendParts(parts, total);
    return this.#appended();
  }

  /** The same for `length` bytes at an offset of the shard's arena; makes no object. */
  appendRange(memoryOffset: number, length: number): number {
    if (length === 0) return this.appended;
    this.#admit(length);
    this.#buffer.appendRange(memoryOffset, length);
    return this.#appended();
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
    return inThisGroup(this.#flush());
  }

  /** Asks for a flush without a promise: `onFlushed` reports it, `onError` its failure. */
  requestFlush(): void {
    if (this.#closing !== null || this.#failure !== null) return;
    this.#rounds.request();
    this.#deferred.requested();
  }

  /** Resolves when `hasRoom` is true, rejects with what stopped the appender. */
  waitForRoom(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
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
    if (this.#failure === null) return;
    if (this.#failure.code === 'SUNSTAR_APPENDER_POISONED') throw this.#failure;
    this.#failure = null;
    this.#queue.resume();
    this.#rounds.resume();
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
    if (this.#failure !== null) throw this.#failure;
    if (this.#truncating !== null) throw appenderBusyError();
  }

  #admit(length: number): void {
    this.#checkOpen();
    const buffered = this.bufferedBytes;
    if (buffered >= this.#options.maxBufferedBytes) {
      throw appenderFullError(buffered, this.#options.maxBufferedBytes);
    }
    const end = this.#buffer.appended + length;
    if (this.#space.isFullAt(end)) {
      this.#space.ensure(end);
      throw systemError('append', -ERRNO.ENOSPC, this.#target.path);
    }
  }

  #appended(): number {
    const { appended } = this.#buffer;
    this.#space.ensure(appended);
    this.#deferred.appended();
    return appended;
  }

  #flush(): Promise<number> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const flushed = this.#rounds.wait();
    this.#deferred.requested();
    return flushed;
  }

  #writesProgressed(): void {
    this.#rounds.writesProgressed();
    this.#wakeRoom();
    this.#checkQuiet();
  }

  #writeFailed(result: number, isDurable: boolean): void {
    const error = systemError('write', result, this.#target.path);
    // Of a durable write nobody knows whether the write or the sync failed, unless it never began.
    if (isDurable && !isRefusal(result)) this.#poison(error);
    else if (this.#failure === null) this.#fail(error);
    this.#checkQuiet();
  }

  #flushedTo(offset: number): void {
    if (this.#failure === null && this.#truncating === null && this.#sealing === null) {
      this.#space.zeroAhead(this.appended, this.#rounds.averageBytes);
    }
    this.#checkQuiet();
    this.#onFlushed?.(offset);
  }

  #spaceProgressed(): void {
    this.#space.ensure(this.appended);
    this.#checkQuiet();
  }

  #poison(cause: unknown): SunstarError {
    const error = appenderPoisonedError(cause);
    this.#queue.halt();
    this.#fail(error);
    this.#checkQuiet();
    return error;
  }

  #fail(error: SunstarError): void {
    this.#failure = error;
    this.#rounds.halt(error);
    this.#room.reject(error);
    this.#onError?.(error);
  }

  #wakeRoom(): void {
    if (this.hasRoom) this.#room.resolve();
  }

  /** Resolves when nothing is in flight. */
  #quiesce(): Promise<void> {
    const quiet = this.#quiet.wait();
    this.#checkQuiet();
    return quiet;
  }

  #checkQuiet(): void {
    if (this.#queue.inFlight === 0 && this.#space.isIdle && this.#rounds.isIdle) this.#quiet.resolve();
  }

  async #truncate(sizeBytes: number): Promise<void> {
    await this.#flush();
    this.#space.stop();
    await this.#quiesce();
    try {
      await this.#cut(sizeBytes, Number.POSITIVE_INFINITY);
    } finally {
      this.#space.restart(this.appended);
    }
    this.#space.ensure(sizeBytes);
  }

  /** Cuts the file when it is larger, and starts over at `position`; nothing is in flight or buffered. */
  async #cut(position: number, size: number): Promise<void> {
    const chunk = await loadPartialPage(this.#target, this.#pool, position);
    try {
      if (size > position) await this.#resize(position);
    } catch (error) {
      if (chunk !== null) this.#pool.unpin(chunk);
      throw error;
    }
    this.#buffer.restart(position, chunk);
    this.#queue.restart(position);
    this.#rounds.restart(position);
  }

  async #resize(size: number): Promise<void> {
    const { path } = this.#target;
    await operate('ftruncate', path, (done) => this.#target.submitTruncate(done, size));
    try {
      await operate('fdatasync', path, (done) => this.#target.submitSync(done));
    } catch (error) {
      throw this.#poison(error);
    }
  }

  #seal(): Promise<void> {
    this.#sealing ??= this.#complete().catch((error: unknown) => {
      this.#sealing = null;
      throw error;
    });
    return this.#sealing;
  }

  async #complete(): Promise<void> {
    // A truncate that is running ends first; whoever called it learns its result.
    await Promise.allSettled([this.#truncating]);
    await this.#flush();
    this.#room.reject(appenderSealedError());
    this.#space.stop();
    await this.#quiesce();
    try {
      if ((await this.#target.size()) !== this.appended) await this.#resize(this.appended);
    } catch (error) {
      this.#space.restart(this.appended);
      throw error;
    }
  }

  async #close(): Promise<void> {
    try {
      await this.#seal();
    } finally {
      this.#room.reject(appenderClosedError());
      this.#space.stop();
      await this.#quiesce();
      await this.#release();
      await this.#target.close();
    }
  }

  async #release(): Promise<void> {
    this.#space.restart(this.appended);
    this.#space.stop();
    this.#buffer.release();
    this.#queue.discard();
    this.#pool.leave();
    await Promise.all([this.#deferred.close(), this.#rounds.close()]);
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#pool.invariants();
    this.#queue.invariants();
    this.#buffer.invariants();
    this.#rounds.invariants();
    this.#space.invariants();
    this.#deferred.invariants();
  }
}
