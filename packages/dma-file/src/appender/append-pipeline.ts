import type { IOBuf } from '@sunstar/iobuf';
import { ERRNO, type SunstarError, systemError } from '@sunstar/runtime';
import { CommitDelay } from '../dispatch/commit-delay.js';
import { appenderFullError, appenderPoisonedError, isRefusal } from '../errors.js';
import { operate } from '../operate.js';
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
import { loadPartialPage } from './partial-page.js';
import { SpaceAhead, type SpaceListener } from './space-ahead.js';
import type { SegmentAppenderStats } from './stats.js';
import { type WriteListener, WriteQueue } from './write-queue.js';

/** Who follows an {@link AppendPipeline}; called inside the tick. */
export interface PipelineListener {
  /** Bytes were written: there may be room. */
  progressed(): void;
  /** Everything up to `offset` survives a power cut. Called before the promises settle. */
  flushedTo(offset: number): void;
  /** A write or a sync failed, and nothing more goes to the device before `retry()`. */
  failed(error: SunstarError): void;
}

/**
 * The way of appended bytes to the device: copied into chunks ({@link AppendBuffer}), written behind
 * ({@link WriteQueue}), made durable in rounds ({@link FlushRounds}), in space that is allocated ahead
 * ({@link SpaceAhead}). It knows what failed, and where the log ends; who may append when is its owner's business.
 */
export class AppendPipeline implements WriteListener, FlushListener, SpaceListener {
  readonly #target: AppendTarget;
  readonly #options: ResolvedAppenderOptions;
  readonly #listener: PipelineListener;
  readonly #pool: ChunkCache;
  readonly #queue: WriteQueue;
  readonly #buffer: AppendBuffer;
  readonly #rounds: FlushRounds;
  readonly #space: SpaceAhead;
  readonly #deferred: DeferredFlush;
  readonly #quiet: Signal = new Signal();
  #failure: SunstarError | null = null;

  /** @param size - How far the file has space. @throws SunstarError SUNSTAR_INVALID_OPTION */
  constructor(
    target: AppendTarget,
    options: SegmentAppenderOptions,
    position: number,
    size: number,
    listener: PipelineListener,
  ) {
    const resolved = resolveAppenderOptions(options, target.pageBytes);
    this.#target = target;
    this.#options = resolved;
    this.#listener = listener;
    this.#pool = ChunkCache.join(target.memory, resolved.chunkBytes, target.pageBytes);
    this.#queue = new WriteQueue(target, this.#pool, resolved.maxWritesInFlight, position, this);
    this.#buffer = new AppendBuffer(target.memory, this.#pool, target.pageBytes, this.#queue, position);
    const delay = new CommitDelay(resolved.commitDelayMs);
    this.#rounds = new FlushRounds(target, this.#queue, this.#buffer, delay, position, this);
    this.#space = new SpaceAhead(target, this.#queue, resolved, size, this);
    this.#deferred = new DeferredFlush(target, this.#rounds, resolved.flushBytes, resolved.flushDelayMs);
  }

  /** File position after the last appended byte. */
  get appended(): number {
    return this.#buffer.appended;
  }

  /** File position up to which everything is written. */
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

  /** Whether it takes bytes, as far as it is concerned. */
  get hasRoom(): boolean {
    return this.bufferedBytes < this.#options.maxBufferedBytes && this.#failure === null;
  }

  /** What stopped it, or null. */
  get failure(): SunstarError | null {
    return this.#failure;
  }

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

  /** Throws when there is no room for so many bytes: SUNSTAR_APPENDER_FULL, SUNSTAR_ENOSPC. */
  admit(length: number): void {
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

  /** Takes bytes that were admitted; returns the file position after them. All or nothing: OutOfMemoryError. */
  append(data: Uint8Array | IOBuf): number {
    if (data instanceof Uint8Array) this.#buffer.appendBytes(data);
    else this.#buffer.appendIOBuf(data);
    return this.#took();
  }

  /** The same for several pieces of `total` bytes. */
  appendParts(parts: readonly Uint8Array[], total: number): number {
    this.#buffer.appendParts(parts, total);
    return this.#took();
  }

  /** The same for a piece of the arena. */
  appendRange(memoryOffset: number, length: number): number {
    this.#buffer.appendRange(memoryOffset, length);
    return this.#took();
  }

  #took(): number {
    const { appended } = this.#buffer;
    this.#space.ensure(appended);
    this.#deferred.appended();
    return appended;
  }

  /** Resolves with the flushed offset once everything appended so far survives a power cut. */
  flush(): Promise<number> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const flushed = this.#rounds.wait();
    this.#deferred.requested();
    return flushed;
  }

  /** The same without a promise; nothing while it has failed. */
  requestFlush(): void {
    if (this.#failure !== null) return;
    this.#rounds.request();
    this.#deferred.requested();
  }

  /** After a failed write: writes again what is in memory. Throws what stopped it when that cannot be mended. */
  retry(): void {
    if (this.#failure === null) return;
    if (this.#failure.code === 'SUNSTAR_APPENDER_POISONED') throw this.#failure;
    this.#failure = null;
    this.#queue.resume();
    this.#rounds.resume();
  }

  /** Allocates space ahead, if there is not enough. */
  ensureSpace(): void {
    this.#space.ensure(this.appended);
  }

  /** Writes zeros ahead where it pays; after a flush, when it delays nobody. */
  zeroAhead(): void {
    if (this.#failure === null) this.#space.zeroAhead(this.appended, this.#rounds.averageBytes);
  }

  /** Begins no more work ahead, and resolves when nothing is in flight. */
  async stopAhead(): Promise<void> {
    this.#space.stop();
    await this.quiesce();
  }

  /** After `stopAhead()`: the file has so much space as it has bytes. */
  restartAhead(): void {
    this.#space.restart(this.appended);
  }

  /** Resolves when nothing is in flight. */
  quiesce(): Promise<void> {
    const quiet = this.#quiet.wait();
    this.#checkQuiet();
    return quiet;
  }

  /**
   * Cuts the file when it is larger, and starts over at `position`, with everything before it durable; nothing is in
   * flight or buffered.
   */
  async cut(position: number, size: number): Promise<void> {
    const chunk = await loadPartialPage(this.#target, this.#pool, position);
    try {
      if (size > position) await this.#resize(position);
      // Whoever wrote what is there may have died before the sync.
      else if (position > 0) await this.#sync();
    } catch (error) {
      if (chunk !== null) this.#pool.unpin(chunk);
      throw error;
    }
    this.#buffer.restart(position, chunk);
    this.#queue.restart(position);
    this.#rounds.restart(position);
  }

  /** Makes the file end with the last appended byte, durably; nothing is in flight or buffered. */
  async trim(): Promise<void> {
    if ((await this.#target.size()) !== this.appended) await this.#resize(this.appended);
  }

  async #resize(size: number): Promise<void> {
    const { path } = this.#target;
    await operate('ftruncate', path, (done) => this.#target.submitTruncate(done, size));
    await this.#sync();
  }

  async #sync(): Promise<void> {
    try {
      await operate('fdatasync', this.#target.path, (done) => this.#target.submitSync(done));
    } catch (error) {
      throw this.#poison(error);
    }
  }

  /** Gives all memory back; what is buffered is lost. The file stays open. */
  async release(): Promise<void> {
    this.#space.restart(this.appended);
    this.#space.stop();
    this.#buffer.release();
    this.#queue.discard();
    this.#pool.leave();
    await Promise.all([this.#deferred.close(), this.#rounds.close()]);
  }

  /** @internal Called by the write queue. */
  writesProgressed(): void {
    this.#rounds.writesProgressed();
    this.#listener.progressed();
    this.#checkQuiet();
  }

  /** @internal Called by the write queue. */
  writeFailed(result: number, isDurable: boolean): void {
    const error = systemError('write', result, this.#target.path);
    // Of a durable write nobody knows whether the write or the sync failed, unless it never began.
    if (isDurable && !isRefusal(result)) this.#poison(error);
    else if (this.#failure === null) this.#fail(error);
    this.#checkQuiet();
  }

  /** @internal Called by the rounds. */
  flushedTo(offset: number): void {
    this.#listener.flushedTo(offset);
    this.#checkQuiet();
  }

  /** @internal Called by the rounds. */
  roundEnded(): void {
    this.#checkQuiet();
  }

  /** @internal Called by the rounds. */
  syncFailed(result: number): void {
    this.#poison(systemError('fdatasync', result, this.#target.path));
  }

  /** @internal Called by the space ahead. */
  spaceProgressed(): void {
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
    this.#listener.failed(error);
  }

  #checkQuiet(): void {
    if (this.#queue.inFlight === 0 && this.#space.isIdle && this.#rounds.isIdle) this.#quiet.resolve();
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
