import { type Completion, OutOfMemoryError, type ShardContext, SunstarError } from '@sunstar/runtime';
import type { Entries } from '../store/entries.js';
import { logStopped } from './errors.js';
import { LogBuffer, type LogTarget } from './log-buffer.js';
import type { LogFile, LogFileListener } from './log-file.js';
import { type DurabilityWaiter, LogWaiters, type RoomWaiter } from './log-waiters.js';
import { HEADER_BYTES } from './record.js';
import { abandonSegment, createSegment, nameSegment, replaceSegment, type SegmentOwner } from './segments.js';

/** When writes reach the device. */
export type FsyncPolicy = 'always' | 'everysec' | 'no';

export interface ShardLogOptions {
  readonly directory: string;
  readonly shardCount: number;
  readonly epoch: number;
  readonly fsync: FsyncPolicy;
  /** Number of the first segment that is written. */
  readonly number: number;
}

/** The part of a shard that the log uses. */
export type LogShard = Pick<ShardContext, 'id' | 'reactor' | 'memory' | 'log'>;

const HOUSEKEEPING_MS = 100;
const RETRY_MS = 1000;
/** How old a write may become before it is flushed. `no` leaves it to chance for as long as the kernel would. */
const FLUSH_MS = { always: 0, everysec: 1000, no: 30_000 } as const;
/** When more than this is held, clients are slowed down. */
const BEHIND_BYTES = 64 * 1024;

/** A file that takes nothing: while one segment is exchanged for the next. */
const CLOSED: LogTarget = { hasRoom: false, appendRange: () => 0 };

interface Rotation {
  readonly file: LogFile;
  readonly resolve: (number: number) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The append-only log of one shard: makes the changes of its store durable, in order.
 *
 * Positions count the bytes of records since the log was opened, across segments. With `always` the log is flushed
 * whenever something is waiting, one flush at a time, so that all writes that come while the device is busy share
 * the next one.
 *
 * When a write fails (the disk is full), writes are refused, and the bytes stay in memory and are tried again every
 * second. When fdatasync fails, nothing that the kernel says about the file can be relied on any more: writes are
 * refused until a restart has read what is there. Reading goes on in both cases.
 */
export class ShardLog implements Completion, LogFileListener {
  readonly buffer: LogBuffer;
  readonly fsync: FsyncPolicy;
  readonly #shard: LogShard;
  readonly #timer: NodeJS.Timeout;
  readonly #owner: SegmentOwner;
  readonly #waiters: LogWaiters;
  #file: LogFile;
  #target: LogTarget;
  /** Position that belongs to the beginning of #file. */
  #fileStart = -HEADER_BYTES;
  /** Position that the records in #file reach at most: known once it is sealed. */
  #fileEnd: number = Number.POSITIVE_INFINITY;
  /** Records in #file. */
  #records = 0;
  #committed = 0;
  #durable = 0;
  /** What has been asked to be durable. */
  #wanted = 0;
  #isScheduled = false;
  #isBehind = false;
  #isAwaitingRoom = false;
  #flushedAtMs: number;
  #retryAtMs = 0;
  #failure: SunstarError | null = null;
  #isFatal = false;
  #rotation: Rotation | null = null;
  #sealedBytes = 0;
  #isClosing = false;

  private constructor(
    shard: LogShard,
    entries: Entries,
    fsync: FsyncPolicy,
    owner: SegmentOwner,
    file: LogFile,
  ) {
    this.#shard = shard;
    this.#owner = owner;
    this.#waiters = new LogWaiters(shard.reactor);
    this.#file = file;
    this.#target = file.appender;
    file.listener = this;
    this.fsync = fsync;
    this.buffer = new LogBuffer(shard.memory, entries);
    this.buffer.seed = file.seed;
    this.#flushedAtMs = shard.reactor.nowMs;
    this.#timer = setInterval(() => this.#housekeeping(), HOUSEKEEPING_MS);
  }

  /** Begins the segment with the number of the options. */
  static async open(shard: LogShard, entries: Entries, options: ShardLogOptions): Promise<ShardLog> {
    const { directory, shardCount, epoch, fsync, number } = options;
    const owner: SegmentOwner = { directory, memory: shard.memory, shard: shard.id, shardCount, epoch };
    const file = await createSegment(owner, number);
    try {
      await nameSegment(directory, number);
      return new ShardLog(shard, entries, fsync, owner, file);
    } catch (error) {
      await file.appender.close().catch(() => {});
      throw error;
    }
  }

  /** Position behind the last record. */
  get committed(): number {
    return this.#committed;
  }

  /** Position up to which everything survives a power cut. */
  get durable(): number {
    return this.#durable;
  }

  /** Bytes of the segments that were written since the log was opened, or since {@link forgetSealed}. */
  get sizeBytes(): number {
    return this.#sealedBytes + this.#file.sizeBytes + this.buffer.heldBytes;
  }

  /** All segments but the current one have been removed. */
  forgetSealed(): void {
    this.#sealedBytes = 0;
  }

  /** Why no write is accepted; null when writes are. */
  get failure(): SunstarError | null {
    return this.#failure;
  }

  /** Whether only a restart helps against {@link failure}. */
  get isFatal(): boolean {
    return this.#isFatal;
  }

  /** Whether writers should wait: see {@link awaitRoom}. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Flushes of the current segment. */
  get syncs(): number {
    return this.#file.appender.stats.syncs;
  }

  /** Ends the record of a command. Returns the position that it is durable at; 0 when it has changed nothing. */
  endCommand(): number {
    const { buffer } = this;
    const recordBytes = buffer.endRecord();
    if (recordBytes === 0) return 0;
    this.#records++;
    this.#committed += recordBytes;
    if (this.fsync === 'always') {
      if (!this.#isScheduled) this.#schedule();
      if (buffer.isFilling) this.#drain();
    } else if (buffer.isFilling) this.#drain();
    return this.#committed;
  }

  /** Calls back as the log becomes durable. A waiter is added once at a time. */
  awaitDurable(waiter: DurabilityWaiter): void {
    this.#waiters.addForDurability(waiter);
  }

  /** Calls back once, when {@link isBehind} has become false. */
  awaitRoom(waiter: RoomWaiter): void {
    this.#waiters.addForRoom(waiter);
  }

  /**
   * Resolves when the log is durable up to a position, or has failed.
   *
   * @returns How far it is durable.
   */
  whenDurable(position: number): Promise<number> {
    if (this.#durable >= position || this.#failure !== null) return Promise.resolve(this.#durable);
    return new Promise((resolve) => {
      this.awaitDurable({
        durable(reached) {
          if (reached < position) return true;
          resolve(reached);
          return false;
        },
        durabilityFailed: () => resolve(this.#durable),
      });
    });
  }

  /** Makes all that is committed now durable. */
  async flush(): Promise<void> {
    const position = this.#committed;
    this.#want(position);
    const reached = await this.whenDurable(position);
    if (reached < position && this.#failure !== null) throw logStopped(this.#failure);
  }

  /**
   * Ends the current segment and goes on in a new one.
   *
   * @returns Number of the new segment: all earlier records are in segments before it, and durable.
   */
  async rotate(): Promise<number> {
    if (this.#rotation !== null)
      throw new SunstarError('SUNSTAR_INVARIANT', 'ShardLog: it is being rotated already.');
    if (this.#failure !== null) throw logStopped(this.#failure);
    const file = await createSegment(this.#owner, this.#file.number + 1);
    return new Promise((resolve, reject) => {
      this.#rotation = { file, resolve, reject };
      this.#drain();
    });
  }

  /** A rotation that waits for space on the disk is given up. */
  giveUpWaiting(): void {
    this.#isClosing = true;
  }

  /** Flushes, marks the log as complete and closes it. Nothing may be reported to it any more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#timer);
    try {
      await this.flush();
      this.#fileEnd = this.#committed;
      this.#file.appendSeal(this.#records);
    } finally {
      await this.#file.appender.close();
      this.buffer.dispose();
    }
  }

  /** The deferred step at the end of a tick. */
  complete(): void {
    this.#isScheduled = false;
    this.#want(this.#committed);
  }

  flushed(file: LogFile, sizeBytes: number): void {
    if (file !== this.#file) return;
    // The seal at the end of a segment is no record.
    this.#setDurable(Math.min(this.#fileStart + sizeBytes, this.#fileEnd));
    if (this.#failure !== null && !this.#isFatal) this.#checkRecovered();
    // With `always`, what came meanwhile follows at once.
    if (this.#wanted > this.#durable || !this.#isEmpty) this.#drain();
  }

  failed(file: LogFile, error: SunstarError): void {
    if (file === this.#file) this.#fail(error, error.code === 'SUNSTAR_APPENDER_POISONED');
  }

  get #isEmpty(): boolean {
    return this.buffer.heldBytes === 0;
  }

  #schedule(): void {
    this.#isScheduled = true;
    this.#shard.reactor.defer(this);
  }

  #want(position: number): void {
    this.#wanted = Math.max(this.#wanted, position);
    this.#drain();
  }

  /** Hands what is held to the file, and asks for a flush if someone wants one. */
  #drain(): void {
    let isEmpty = false;
    try {
      isEmpty = this.buffer.drainTo(this.#target);
    } catch (error) {
      this.#appendFailed(error);
    }
    if (isEmpty) {
      if (this.#isBehind) {
        this.#isBehind = false;
        this.#waiters.hasRoom();
      }
      if (this.#wanted > this.#durable && this.#target !== CLOSED) this.#file.appender.requestFlush();
      if (this.#rotation !== null && this.#target !== CLOSED) this.#switch(this.#rotation);
      return;
    }
    // While writes are refused nobody has to wait, and reads go on.
    this.#isBehind = this.#failure === null && this.buffer.heldBytes > BEHIND_BYTES;
    if (this.#isAwaitingRoom || this.#failure !== null || this.#target === CLOSED) return;
    this.#isAwaitingRoom = true;
    const again = (): void => {
      this.#isAwaitingRoom = false;
      this.#drain();
    };
    // A file that cannot be written says so by failed().
    this.#file.appender.waitForRoom().then(again, () => {
      this.#isAwaitingRoom = false;
    });
  }

  /** The file has not taken what is held; it stays in memory. */
  #appendFailed(error: unknown): void {
    // Memory comes back as writes complete; the housekeeping tries again.
    if (error instanceof OutOfMemoryError) return;
    if (!(error instanceof SunstarError)) throw error;
    this.#fail(error, false);
  }

  #fail(error: SunstarError, isFatal: boolean): void {
    if (this.#failure === null)
      this.#shard.log.error({ err: error }, 'the log cannot be written: writes are refused');
    this.#failure = error;
    this.#isFatal ||= isFatal;
    this.#retryAtMs = this.#shard.reactor.nowMs + RETRY_MS;
    this.#isBehind = false;
    this.#waiters.failed();
    // One that has begun goes on when the log is written again.
    if (this.#rotation === null || this.#target === CLOSED) return;
    this.#rotation.reject(logStopped(error));
    void abandonSegment(this.#rotation.file);
    this.#rotation = null;
  }

  #retry(): void {
    this.#retryAtMs = this.#shard.reactor.nowMs + RETRY_MS;
    this.#file.appender.retry();
    this.#wanted = this.#committed;
    this.#drain();
    this.#checkRecovered();
  }

  #checkRecovered(): void {
    const { appender } = this.#file;
    if (appender.failure !== null || !this.#isEmpty || this.#durable < this.#committed) return;
    this.#failure = null;
    this.#shard.log.info('the log is written again: writes are accepted');
  }

  #setDurable(position: number): void {
    this.#durable = position;
    this.#flushedAtMs = this.#shard.reactor.nowMs;
    this.#waiters.durable(position);
  }

  #housekeeping(): void {
    const { nowMs } = this.#shard.reactor;
    if (this.#failure !== null) {
      if (!this.#isFatal && nowMs >= this.#retryAtMs) this.#retry();
    } else if (this.#committed > this.#durable && nowMs - this.#flushedAtMs >= FLUSH_MS[this.fsync]) {
      this.#want(this.#committed);
    } else if (!this.#isEmpty) this.#drain();
    if (this.#committed === this.#durable) this.#flushedAtMs = nowMs;
  }

  /** Everything is in the file: seals it and goes on in the next one. */
  #switch(rotation: Rotation): void {
    const old = this.#file;
    try {
      old.appendSeal(this.#records);
    } catch (error) {
      // No room at the moment: the next drain tries again.
      if (!(error instanceof SunstarError)) throw error;
      if (!(error instanceof OutOfMemoryError) && error.code !== 'SUNSTAR_APPENDER_FULL')
        this.#fail(error, false);
      return;
    }
    this.#target = CLOSED;
    this.#records = 0;
    this.buffer.seed = rotation.file.seed;
    const position = this.#committed;
    this.#fileEnd = position;
    const mayWait = (): boolean => !this.#isFatal && !this.#isClosing;
    replaceSegment(this.#owner.directory, old, rotation.file, mayWait).then(
      () => {
        this.#sealedBytes += old.sizeBytes;
        this.#file = rotation.file;
        this.#fileStart = position - HEADER_BYTES;
        this.#fileEnd = Number.POSITIVE_INFINITY;
        this.#target = rotation.file.appender;
        this.#rotation = null;
        rotation.file.listener = this;
        this.#setDurable(position);
        rotation.resolve(rotation.file.number);
        this.#drain();
        if (this.#failure !== null && !this.#isFatal) this.#checkRecovered();
      },
      (error: unknown) => {
        // What the old segment holds is uncertain, or the new one has no name.
        this.#rotation = null;
        this.#fail(logStopped(error as SunstarError), true);
        rotation.reject(error);
        void abandonSegment(rotation.file);
      },
    );
  }
}
