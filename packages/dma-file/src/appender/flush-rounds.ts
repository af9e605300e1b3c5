import { type Completion, SunstarError } from '@sunstar/runtime';
import type { CommitDelay } from '../dispatch/commit-delay.js';
import type { AppendBuffer } from './append-buffer.js';
import type { AppendTarget, OneShotTimer } from './append-target.js';
import { Deferred } from './deferred.js';
import type { FlushSubject } from './deferred-flush.js';
import { SyncChoice } from './sync-choice.js';
import type { WriteQueue } from './write-queue.js';

/** Who learns how far the log is durable. */
export interface FlushListener {
  /** Everything up to `offset` survives a power cut. Called before the promises settle. */
  flushedTo(offset: number): void;
  /** A round ended without a result. */
  roundEnded(): void;
  /** fdatasync failed with this result. */
  syncFailed(result: number): void;
}

/** What the round is doing; there is one at a time. */
const ROUND = {
  idle: 0,
  /** Begins at the end of this tick, so that everything appended in the tick joins it. */
  scheduled: 1,
  /** Waits for others to join it. */
  gathering: 2,
  /** Its bytes are on their way. */
  writing: 3,
  /** Its fdatasync is on its way. */
  syncing: 4,
} as const;

/** A flush that waits for the flushed offset to reach `offset`; shared by everyone who asked at that offset. */
class PendingFlush extends Deferred<number> {
  readonly offset: number;

  constructor(offset: number) {
    super();
    this.offset = offset;
  }
}

/**
 * Group commit. A round writes everything that was appended when it begins, and once that is written syncs
 * once, for everyone who asked. Whoever asks meanwhile is served by the next round, which begins when this one
 * ends, or a little later when that is better for all (see {@link CommitDelay}).
 *
 * When all earlier bytes are flushed and the round is a single extent, write and sync can be one operation: a
 * write with RWF_DSYNC. That saves a trip through the loop, and where the device has FUA the flush of its
 * whole cache; see {@link SyncChoice}.
 */
export class FlushRounds implements FlushSubject {
  readonly #target: AppendTarget;
  readonly #queue: WriteQueue;
  readonly #buffer: AppendBuffer;
  readonly #listener: FlushListener;
  readonly #begin: Completion;
  readonly #synced: Completion;
  readonly #delay: CommitDelay;
  readonly #timer: OneShotTimer | null;
  readonly #waiters: PendingFlush[] = [];
  #round: (typeof ROUND)[keyof typeof ROUND] = ROUND.idle;
  /** The write of this round is durable by itself. */
  #isDurableWrite = false;
  readonly #choice: SyncChoice;
  /** The round is a single extent, and tells how long that takes. */
  #isMeasured = false;
  #startedMs = 0;
  /** Writes fail: no round begins. */
  #isHalted = false;
  #flushed: number;
  /** The highest offset that anyone asked for. */
  #wanted: number;
  /** What the current round makes durable. */
  #roundEnd: number;
  /** The round that is scheduled has waited already. */
  #hasGathered = false;
  /** Requests since the last round began. */
  #waiting = 0;
  #requests = 0;
  #syncs = 0;
  #averageBytes = 0;

  constructor(
    target: AppendTarget,
    queue: WriteQueue,
    buffer: AppendBuffer,
    delay: CommitDelay,
    position: number,
    listener: FlushListener,
  ) {
    this.#target = target;
    this.#queue = queue;
    this.#buffer = buffer;
    this.#listener = listener;
    this.#choice = SyncChoice.of(target);
    this.#flushed = position;
    this.#wanted = position;
    this.#roundEnd = position;
    this.#begin = { complete: () => this.#begins() };
    this.#synced = { complete: (result) => this.#syncCompleted(result) };
    this.#delay = delay;
    this.#timer = delay.isEnabled ? target.makeTimer({ complete: () => this.#gathered() }) : null;
  }

  /** File position up to which everything survives a power cut. */
  get flushed(): number {
    return this.#flushed;
  }

  /** File position after the last appended byte. */
  get appended(): number {
    return this.#buffer.appended;
  }

  /** File position up to which everything was asked to become durable. */
  get wanted(): number {
    return this.#wanted;
  }

  get isIdle(): boolean {
    return this.#round === ROUND.idle;
  }

  /** Requests that had something to wait for. */
  get requests(): number {
    return this.#requests;
  }

  /** Syncs that ended, durable writes included. */
  get syncs(): number {
    return this.#syncs;
  }

  /** Bytes that a sync makes durable, moving average. */
  get averageBytes(): number {
    return this.#averageBytes;
  }

  /** Asks that everything appended so far becomes durable. */
  request(): void {
    const appended = this.#buffer.appended;
    if (appended === this.#flushed) return;
    this.#requests++;
    this.#waiting++;
    this.#wanted = appended;
    if (this.#round === ROUND.gathering && this.#delay.hasQuorum(this.#waiting)) this.#gathered();
    else this.#schedule();
  }

  /** The same as a promise. */
  wait(): Promise<number> {
    const appended = this.#buffer.appended;
    if (appended === this.#flushed) return Promise.resolve(appended);
    this.request();
    let waiter = this.#waiters[this.#waiters.length - 1];
    if (waiter === undefined || waiter.offset !== appended) {
      waiter = new PendingFlush(appended);
      this.#waiters.push(waiter);
    }
    return waiter.promise;
  }

  /** After the write queue progressed: syncs when the round's bytes are written. */
  writesProgressed(): void {
    if (this.#round !== ROUND.writing || this.#queue.stable < this.#roundEnd) return;
    if (this.#isDurableWrite) {
      this.#finish();
      return;
    }
    // A sync covers whatever is written when it starts, which may be more than the round asked for.
    this.#roundEnd = this.#queue.stable;
    this.#round = ROUND.syncing;
    this.#target.submitSync(this.#synced);
  }

  /** Tells everyone who waits about an error. A sync in flight may still move `flushed` forward. */
  halt(error: Error): void {
    this.#isHalted = true;
    if (this.#round === ROUND.writing || this.#round === ROUND.gathering) this.#round = ROUND.idle;
    this.#timer?.cancel();
    this.#waiting = 0;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  /** After `halt()`: goes on with what was asked for before. */
  resume(): void {
    this.#isHalted = false;
    if (this.#wanted > this.#flushed) this.#schedule();
  }

  /** Starts over at a file position; idle, and nobody waits. */
  restart(position: number): void {
    this.#flushed = position;
    this.#wanted = position;
    this.#roundEnd = position;
  }

  /** Nothing waits or runs any more: resolves when no timer is left. */
  async close(): Promise<void> {
    await this.#timer?.close();
  }

  #schedule(): void {
    if (this.#round !== ROUND.idle) return;
    this.#round = ROUND.scheduled;
    this.#target.defer(this.#begin);
  }

  #begins(): void {
    if (this.#isHalted) {
      this.#round = ROUND.idle;
      this.#listener.roundEnded();
      return;
    }
    if (this.#timer !== null) {
      const { nowMs } = this.#target;
      const waitMs = this.#hasGathered ? 0 : this.#delay.waitMs(nowMs, this.#waiting);
      this.#hasGathered = false;
      if (waitMs > 0) {
        this.#round = ROUND.gathering;
        this.#timer.arm(waitMs);
        return;
      }
      this.#delay.started(nowMs, this.#waiting);
    }
    this.#waiting = 0;
    this.#round = ROUND.writing;
    this.#roundEnd = this.#buffer.appended;
    const extent = this.#buffer.seal();
    // A durable write speaks for its own bytes only, so everything before them must be flushed.
    this.#isMeasured =
      extent !== null && extent.startBytes === this.#flushed && this.#queue.canPushDurable(extent);
    this.#isDurableWrite = this.#isMeasured && this.#choice.chooseDurable();
    if (this.#isMeasured) this.#startedMs = this.#target.nowMs;
    if (extent === null) {
      this.writesProgressed();
    } else if (this.#isDurableWrite) {
      this.#queue.pushDurable(extent);
    } else {
      this.#queue.push(extent);
    }
  }

  /** Enough have come, or the wait is over: the round begins at the end of the tick, for those that come in it. */
  #gathered(): void {
    if (this.#round !== ROUND.gathering) return;
    this.#timer?.cancel();
    // The timer's clock need not agree with ours: it is not asked again.
    this.#hasGathered = true;
    this.#round = ROUND.scheduled;
    this.#target.defer(this.#begin);
  }

  #syncCompleted(result: number): void {
    if (result >= 0) {
      this.#finish();
    } else {
      this.#syncs++;
      this.#round = ROUND.idle;
      this.#listener.syncFailed(result);
    }
  }

  #finish(): void {
    this.#syncs++;
    if (this.#isMeasured) this.#choice.ended(this.#isDurableWrite, this.#target.nowMs - this.#startedMs);
    this.#isMeasured = false;
    const offset = this.#roundEnd;
    this.#averageBytes += (offset - this.#flushed - this.#averageBytes) / 8;
    this.#flushed = offset;
    this.#round = ROUND.idle;
    if (this.#timer !== null) this.#delay.ended(this.#target.nowMs, this.#waiting);
    if (this.#wanted > offset && !this.#isHalted) this.#schedule();
    this.#listener.flushedTo(offset);
    let settled = 0;
    while (settled < this.#waiters.length && this.#waiters[settled].offset <= offset) {
      this.#waiters[settled++].resolve(offset);
    }
    if (settled > 0) this.#waiters.splice(0, settled);
  }

  invariants(): void {
    this.#delay.invariants();
    this.#choice.invariants();
    const fail = (what: string): never => {
      throw new SunstarError('SUNSTAR_INVARIANT', `FlushRounds: ${what}.`);
    };
    const { appended } = this.#buffer;
    if (this.#flushed > this.#queue.stable) fail('bytes are flushed that are not stable');
    if (this.#wanted > appended || this.#roundEnd > appended) fail('a flush is due for bytes not appended');
    let last = this.#flushed;
    for (const waiter of this.#waiters) {
      if (waiter.offset <= last) fail('waiters are out of order or were not answered');
      last = waiter.offset;
    }
    if (this.#waiters.length > 0 && last > this.#wanted) fail('a waiter is not covered by any request');
    if (this.#wanted > this.#flushed && this.#round === ROUND.idle && !this.#isHalted) {
      fail('a flush is due, but no round runs');
    }
  }
}
