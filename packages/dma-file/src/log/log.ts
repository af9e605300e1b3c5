import { crc32c, type IOBuf } from '@sunstar/iobuf';
import { SunstarError } from '@sunstar/runtime';
import { SegmentAppender } from '../appender/segment-appender.js';
import { batchTooLargeError, logClosedError, logFullError } from '../errors.js';
import { integerOption } from '../open-options.js';
import { type ActiveSegment, beginSegment, discardSegment } from './active-segment.js';
import { BATCH_HEADER_BYTES, BATCH_KIND, headerChecksum, writeChecksum, writeHeader } from './batch.js';
import { DurableMarks } from './durable-marks.js';
import { type LogOptions, type ResolvedLogOptions, resolveLogOptions } from './log-options.js';
import { type LogBatch, type ReadableLog, readLog } from './log-reader.js';
import { dropSegment, recoverLog } from './log-recovery.js';
import { type Segment, saveIndex } from './segment.js';
import { SegmentRecycler } from './segment-recycler.js';
import type { SegmentStorage } from './segment-storage.js';

/** Counters of a {@link Log}. */
export interface LogStats {
  readonly segments: number;
  /** Bytes of all segments, framing included. */
  readonly sizeBytes: number;
  /** Segments that were begun in a file that was written before. */
  readonly recycled: number;
  /** Indexes that could not be saved: recovery reads those segments instead. */
  readonly indexFailures: number;
  /** fdatasync operations and durable writes. */
  readonly syncs: number;
}

/** What keeps others out. */
type LogLock = Awaited<ReturnType<SegmentStorage['lock']>>;

/**
 * A log of batches of records, in segment files: the records are numbered, and a reader finds any of them by its
 * number. Batches carry a CRC-32C and the epoch of their segment. Segments end at a size, the oldest ones go by size
 * and age, and their files are written again.
 *
 * Opening it recovers: up to the first batch that is torn, everything is there, which includes everything that was
 * flushed; what is behind is gone. Segments that were completed have a saved index and are not read; after a clean
 * `close()` that includes the newest one.
 *
 * One shard of one process has a log open, which a lock sees to. After Redpanda's storage log.
 */
export class Log implements AsyncDisposable {
  readonly #storage: SegmentStorage;
  readonly #options: ResolvedLogOptions;
  readonly #recycler: SegmentRecycler;
  /** Oldest first; the last one is the active one. */
  readonly #segments: Segment[];
  /** Not of the log any more, but still on the disk; oldest first. */
  readonly #leaving: Segment[] = [];
  /** Where a roll has begun a segment and failed: its file may be there. */
  readonly #abandoned = new Set<number>();
  readonly #header: Buffer = Buffer.alloc(BATCH_HEADER_BYTES);
  readonly #readable: ReadableLog;
  #active: ActiveSegment;
  readonly #lock: LogLock;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #recycled = 0;
  #indexFailures = 0;
  #earlierSyncs = 0;
  #closing: Promise<void> | null = null;

  private constructor(
    storage: SegmentStorage,
    options: ResolvedLogOptions,
    recycler: SegmentRecycler,
    segments: Segment[],
    active: ActiveSegment,
    lock: LogLock,
  ) {
    this.#lock = lock;
    this.#storage = storage;
    this.#options = options;
    this.#recycler = recycler;
    this.#segments = segments;
    this.#active = active;
    const log = this;
    this.#readable = {
      storage,
      maxBatchBytes: options.maxBatchBytes,
      get firstSequence() {
        return log.firstSequence;
      },
      get durableSequence() {
        return log.durableSequence;
      },
      segmentAt: (sequence) => this.#segmentAt(sequence),
      readableBytes: (segment) =>
        segment === this.#active.segment ? this.#active.appender.flushed : segment.endBytes,
    };
  }

  /**
   * Opens the log in a storage, recovers it, and begins it if there is none. What it finds is synced before it counts
   * as durable: who wrote it may have died before the sync.
   *
   * Rejects with SUNSTAR_LOG_LOCKED, SUNSTAR_INVALID_OPTION, or what an operation on the storage failed with: a segment
   * that cannot be read is no reason to drop it.
   */
  static async open(storage: SegmentStorage, options: LogOptions = {}): Promise<Log> {
    const resolved = resolveLogOptions(options);
    const lock = await storage.lock();
    try {
      return await Log.#open(storage, resolved, lock);
    } catch (error) {
      await lock.close();
      throw error;
    }
  }

  static async #open(storage: SegmentStorage, resolved: ResolvedLogOptions, lock: LogLock): Promise<Log> {
    const recycler = await SegmentRecycler.open(storage, { maxSegments: resolved.maxRecycled });
    const segments = await recoverLog(storage, recycler, resolved);
    const last = segments[segments.length - 1];
    if (last !== undefined) {
      const marks = new DurableMarks(last.nextSequence);
      const file = await storage.open(last.name, false);
      const appender = await SegmentAppender.open(file, {
        ...resolved.appender,
        position: last.endBytes,
        segmentBytes: resolved.segmentBytes,
        onFlushed: (offset) => marks.flushed(offset),
      });
      return new Log(storage, resolved, recycler, segments, { segment: last, appender, marks }, lock);
    }
    const { active, isRecycled } = await beginSegment(storage, recycler, resolved, resolved.firstSequence);
    const log = new Log(storage, resolved, recycler, [active.segment], active, lock);
    if (isRecycled) log.#recycled++;
    return log;
  }

  /** Sequence number of the oldest record. */
  get firstSequence(): number {
    return this.#segments[0].baseSequence;
  }

  /** Sequence number of the next record. */
  get nextSequence(): number {
    return this.#active.segment.nextSequence;
  }

  /** Sequence number behind the last record that survives a power cut. */
  get durableSequence(): number {
    return this.#active.marks.durable;
  }

  /**
   * What stopped the log, or null. After a write that failed `retry()` goes on; after a sync that failed
   * (SUNSTAR_APPENDER_POISONED) close the log and open it again, which recovers what the device has.
   */
  get failure(): SunstarError | null {
    return this.#active.appender.failure;
  }

  get stats(): LogStats {
    return {
      segments: this.#segments.length,
      sizeBytes: this.#sizeBytes(),
      recycled: this.#recycled,
      indexFailures: this.#indexFailures,
      syncs: this.#earlierSyncs + this.#active.appender.stats.syncs,
    };
  }

  /**
   * Appends a batch, in the order of the calls. Resolves when it was copied, which says nothing about durability:
   * that is what `flush()` is for, or the appender's `flushBytes` and `flushDelayMs`. The payload must not change
   * before.
   *
   * Rejects with SUNSTAR_BATCH_TOO_LARGE, SUNSTAR_LOG_FULL, SUNSTAR_LOG_CLOSED, SUNSTAR_ENOSPC,
   * SUNSTAR_OUT_OF_MEMORY, what stopped the appender, or what the roll or the retention before it failed with, which
   * the next one tries again. A batch that was refused has left no trace.
   *
   * @param records - How many records it has, 1 to 2^31 − 1.
   * @returns Sequence number of its first record.
   */
  async append(payload: Uint8Array | IOBuf, records = 1): Promise<number> {
    const { maxBatchBytes, maxWaiting } = this.#options;
    const sizeBytes = payload instanceof Uint8Array ? payload.length : payload.sizeBytes;
    if (this.#closing !== null) throw logClosedError();
    integerOption('records', records, 1, 2 ** 31 - 1);
    if (sizeBytes > maxBatchBytes) throw batchTooLargeError(sizeBytes, maxBatchBytes);
    if (this.#waiting === 0 && this.#active.appender.hasRoom && !this.#mustRoll(sizeBytes)) {
      return this.#append(payload, sizeBytes, records);
    }
    if (this.#waiting >= maxWaiting) throw logFullError(maxWaiting);
    return this.#inOrder(async () => {
      if (this.#mustRoll(sizeBytes)) await this.#roll();
      while (!this.#active.appender.hasRoom) await this.#active.appender.waitForRoom();
      return this.#append(payload, sizeBytes, records);
    });
  }

  /** Resolves with `durableSequence` when every batch that was accepted before survives a power cut. */
  async flush(): Promise<number> {
    if (this.#closing !== null) throw logClosedError();
    const wanted = this.nextSequence;
    // The batches before a roll are durable when it is over.
    while (this.durableSequence < wanted) {
      const { appender } = this.#active;
      await appender.flush();
    }
    return this.durableSequence;
  }

  /**
   * The durable batches, oldest first, beginning with the one that has this record, or the oldest there is. Ends
   * where the log was durable when it came there. Throws SUNSTAR_LOG_CORRUPT.
   */
  read(fromSequence: number = this.firstSequence): AsyncGenerator<LogBatch, void> {
    return readLog(this.#readable, fromSequence);
  }

  /** Ends the active segment and begins the next one; happens by itself at `segmentBytes`. */
  roll(): Promise<void> {
    if (this.#closing !== null) return Promise.reject(logClosedError());
    return this.#inOrder(() => this.#roll());
  }

  /** Takes the oldest segments away as `retentionBytes` and `retentionMs` say; happens by itself after a roll. */
  applyRetention(): Promise<void> {
    if (this.#closing !== null) return Promise.reject(logClosedError());
    return this.#inOrder(() => this.#applyRetention());
  }

  /**
   * After a write that failed, on a full disk for example: tries it again. Throws SUNSTAR_APPENDER_POISONED after a
   * failed sync. See {@link SegmentAppender.retry}.
   */
  retry(): void {
    this.#active.appender.retry();
  }

  /**
   * Completes the log, durably, so that opening it needs to read nothing. What waits is appended first. Rejects when
   * that failed; the lock, the file and all memory are given back anyway.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #mustRoll(sizeBytes: number): boolean {
    const { endBytes } = this.#active.segment;
    const end = endBytes + BATCH_HEADER_BYTES + sizeBytes;
    return end > this.#options.segmentBytes && endBytes > BATCH_HEADER_BYTES;
  }

  #append(payload: Uint8Array | IOBuf, payloadBytes: number, records: number): number {
    const { segment, appender, marks } = this.#active;
    const sequence = segment.nextSequence;
    const timeMs = this.#options.now();
    const header = this.#header;
    const { epoch } = segment;
    writeHeader(header, { payloadBytes, records, sequence, epoch, kind: BATCH_KIND.data, timeMs });
    const checksum = headerChecksum(header);
    const position = segment.endBytes;
    if (payload instanceof Uint8Array) {
      writeChecksum(header, crc32c(payload, 0, payloadBytes, checksum));
      appender.appendParts([header, payload]);
    } else {
      writeChecksum(header, payload.crc32c(checksum));
      appender.appendParts([header, ...payload.fragments()]);
    }
    segment.index.add(sequence, position);
    segment.endBytes = appender.appended;
    segment.nextSequence = sequence + records;
    segment.timeMs = timeMs;
    marks.appended(segment.endBytes, segment.nextSequence);
    return sequence;
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = this.#last.then(work).finally(() => this.#waiting--);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #roll(): Promise<void> {
    const old = this.#active;
    const base = old.segment.nextSequence;
    // Nothing to end: the next segment would have the same name.
    if (base === old.segment.baseSequence) return;
    this.#abandoned.add(base);
    const { active, isRecycled } = await beginSegment(this.#storage, this.#recycler, this.#options, base);
    try {
      // Nothing in the next segment may be durable before all of this one is.
      await old.appender.seal();
    } catch (error) {
      await discardSegment(this.#storage, active.segment.name, active.appender);
      throw error;
    }
    this.#abandoned.delete(base);
    this.#earlierSyncs += old.appender.stats.syncs;
    this.#active = active;
    this.#segments.push(active.segment);
    if (isRecycled) this.#recycled++;
    await old.appender.close();
    await this.#saveIndex(old.segment);
    await this.#applyRetention();
  }

  async #saveIndex(segment: Segment): Promise<void> {
    try {
      await saveIndex(this.#storage, segment);
      segment.hasIndex = true;
    } catch (error) {
      // Not needed, only quicker: recovery reads the segment instead.
      if (!(error instanceof SunstarError)) throw error;
      this.#indexFailures++;
    }
  }

  #sizeBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.endBytes, 0);
  }

  async #applyRetention(): Promise<void> {
    const { retentionBytes, retentionMs, now } = this.#options;
    while (this.#segments.length > 1) {
      const oldest = this.#segments[0];
      const isOld = retentionMs > 0 && now() - oldest.timeMs >= retentionMs;
      const isTooMuch = retentionBytes > 0 && this.#sizeBytes() - oldest.endBytes >= retentionBytes;
      if (!isOld && !isTooMuch) break;
      oldest.isDropped = true;
      this.#segments.shift();
      this.#leaving.push(oldest);
    }
    if (this.#leaving.length === 0) return;
    // With nothing before it, recovery would take what a failed roll has left for the log, and end there.
    for (const base of this.#abandoned) {
      await dropSegment(this.#storage, null, base);
      this.#abandoned.delete(base);
    }
    // In their order, also after one that failed: recovery would take a gap for the end of the log.
    while (this.#leaving.length > 0) {
      const [oldest] = this.#leaving;
      // A reader must not see its file being written again.
      const recycler = oldest.readers > 0 ? null : this.#recycler;
      await dropSegment(this.#storage, recycler, oldest.baseSequence);
      this.#leaving.shift();
    }
  }

  #segmentAt(sequence: number): Segment {
    const segments = this.#segments;
    let low = 0;
    let high = segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (segments[middle].baseSequence <= sequence) low = middle + 1;
      else high = middle;
    }
    return segments[Math.max(0, low - 1)];
  }

  async #close(): Promise<void> {
    try {
      await this.#last;
      const { segment, appender } = this.#active;
      await appender.close();
      await this.#saveIndex(segment);
      await this.#storage.sync();
    } finally {
      await this.#lock.close();
    }
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#recycler.invariants();
    this.#active.marks.invariants();
    this.#active.appender.invariants();
    let next = this.firstSequence;
    for (const segment of this.#segments) {
      segment.index.invariants();
      if (segment.baseSequence !== next || segment.nextSequence < next) {
        throw new SunstarError('SUNSTAR_INVARIANT', 'Log: segments do not follow each other.');
      }
      next = segment.nextSequence;
    }
    if (this.durableSequence > next)
      throw new SunstarError('SUNSTAR_INVARIANT', 'Log: more is durable than there is.');
  }
}
