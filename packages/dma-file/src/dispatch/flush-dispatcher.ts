import { type Completion, inThisGroup, SunstarError } from '@sunstar/runtime';
import type { AppendTarget, OneShotTimer } from '../appender/append-target.js';
import { Deferred } from '../appender/deferred.js';
import { integerOption } from '../open-options.js';
import { CommitDelay } from './commit-delay.js';

/** What a {@link FlushDispatcher} dispatches to. */
export interface DispatchTarget<W, R> {
  /** Starts one write. Called in the order in which the writes were given; they may complete in any order. */
  write(data: W): Promise<R>;
  /** Makes durable every write that completed before the call. */
  flush(): Promise<unknown>;
}

/** The clock and the loop of a dispatcher; a {@link DmaFile} has both. */
export type DispatchLoop = Pick<AppendTarget, 'defer' | 'makeTimer' | 'nowMs'>;

/** Options of a {@link FlushDispatcher}. */
export interface FlushDispatcherOptions {
  /**
   * How long a flush may wait at most for others to join it, on a device whose syncs are slow; 0 to 1000. What it
   * really waits follows from measured latency, see {@link CommitDelay}. 0 never waits.
   *
   * @defaultValue 1
   */
  readonly maxDelayMs?: number;
  /**
   * Writes that the target has at the same time, 1 to 4096; more wait in order.
   *
   * @defaultValue 64
   */
  readonly maxWrites?: number;
  /**
   * Writes and flushes that may wait, 1 to 1048576; one more is refused with SUNSTAR_DISPATCHER_FULL.
   *
   * @defaultValue 65536
   */
  readonly maxQueued?: number;
}

/** Counters of a {@link FlushDispatcher}. */
export interface FlushDispatcherStats {
  readonly writes: number;
  /** Flushes that were asked for. */
  readonly flushesAsked: number;
  /** Flushes that the target got. */
  readonly flushes: number;
  /** What a flush of the target takes, moving average. */
  readonly flushLatencyMs: number;
}

class PendingWrite<W, R> extends Deferred<R> {
  readonly data: W;
  isDone = false;

  constructor(data: W) {
    super();
    this.data = data;
  }
}

class PendingFlush extends Deferred<void> {
  /** It covers the writes with smaller numbers. */
  readonly end: number;

  constructor(end: number) {
    super();
    this.end = end;
  }
}

/**
 * Reads ahead in a queue of writes and flushes: `write, flush, write, flush, write, flush` reaches the device as
 * three writes in the same order and one flush. Everything that is queued when a flush could begin shares it; a
 * flush that could begin alone, although others usually come, waits a little for them.
 *
 * Writes never change their order. A flush only ever moves to the back, so it covers what it was asked to cover, and
 * more. Every caller learns its own result: that of its write, and whether a flush that began after the writes
 * before it had completed went well. A write that failed is not covered by any flush.
 *
 * When a flush fails, all that wait for one are told, and everything later is refused
 * (SUNSTAR_DISPATCHER_POISONED): the kernel may have dropped what it could not write, and a later flush that
 * succeeds would prove nothing.
 *
 * {@link SegmentAppender} has this built in. This class is for logs of another kind, on the shard that made it.
 * After Redpanda's replicate batcher.
 */
export class FlushDispatcher<W, R> implements AsyncDisposable {
  readonly #target: DispatchTarget<W, R>;
  readonly #loop: DispatchLoop;
  readonly #delay: CommitDelay;
  readonly #timer: OneShotTimer;
  readonly #maxWrites: number;
  readonly #maxQueued: number;
  readonly #pump: Completion;
  /** Writes that are not known to be complete, in order; the first one has the number #first. */
  readonly #writes: PendingWrite<W, R>[] = [];
  readonly #flushes: PendingFlush[] = [];
  /** Number of the oldest write that is not complete. */
  #first = 0;
  /** Number of the next write to be dispatched. */
  #next = 0;
  #inFlight = 0;
  #asked = 0;
  #flushed = 0;
  /** Flushes that were asked for since the last one began. */
  #waiting = 0;
  /** Writes with smaller numbers survive a power cut, or failed. */
  #durable = 0;
  /** Writes with smaller numbers must be complete before the next flush begins; −1 while that is not decided. */
  #roundEnd = -1;
  #isFlushing = false;
  #isGathering = false;
  #hasGathered = false;
  #isScheduled = false;
  #failure: SunstarError | null = null;
  #closing: Promise<void> | null = null;
  #quiet: (() => void) | null = null;

  constructor(target: DispatchTarget<W, R>, loop: DispatchLoop, options: FlushDispatcherOptions = {}) {
    this.#target = target;
    this.#loop = loop;
    this.#delay = new CommitDelay(integerOption('maxDelayMs', options.maxDelayMs ?? 1, 0, 1000));
    this.#maxWrites = integerOption('maxWrites', options.maxWrites ?? 64, 1, 4096);
    this.#maxQueued = integerOption('maxQueued', options.maxQueued ?? 65536, 1, 1 << 20);
    this.#timer = loop.makeTimer({ complete: () => this.#gathered() });
    this.#pump = {
      complete: () => {
        this.#isScheduled = false;
        this.#dispatch();
      },
    };
  }

  get stats(): FlushDispatcherStats {
    return {
      writes: this.#next,
      flushesAsked: this.#asked,
      flushes: this.#flushed,
      flushLatencyMs: this.#delay.latencyMs,
    };
  }

  /** Queues a write; the promise has its own result. The data must not change before. */
  write(data: W): Promise<R> {
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.reject(refusal);
    const write = new PendingWrite<W, R>(data);
    this.#writes.push(write);
    this.#schedule();
    return inThisGroup(write.promise);
  }

  /** Resolves when everything that was written before, and did not fail, survives a power cut. */
  flush(): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.reject(refusal);
    const end = this.#first + this.#writes.length;
    this.#asked++;
    if (end <= this.#durable) return Promise.resolve();
    this.#waiting++;
    let flush = this.#flushes[this.#flushes.length - 1];
    if (flush === undefined || flush.end !== end) {
      flush = new PendingFlush(end);
      this.#flushes.push(flush);
    }
    if (this.#isGathering && this.#delay.hasQuorum(this.#waiting)) this.#gathered();
    else this.#schedule();
    return inThisGroup(flush.promise);
  }

  /** Takes nothing more; resolves when everything queued has its result. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return inThisGroup(this.#closing);
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #refusal(): SunstarError | null {
    if (this.#closing !== null) {
      return new SunstarError('SUNSTAR_DISPATCHER_CLOSED', 'The dispatcher is closed. Write before close().');
    }
    if (this.#failure !== null) return this.#failure;
    if (this.#writes.length + this.#flushes.length < this.#maxQueued) return null;
    return new SunstarError(
      'SUNSTAR_DISPATCHER_FULL',
      `${this.#maxQueued} operations wait already. Await earlier ones, or raise \`maxQueued\`.`,
    );
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#loop.defer(this.#pump);
  }

  #dispatch(): void {
    while (this.#next < this.#first + this.#writes.length && this.#inFlight < this.#maxWrites) {
      const write = this.#writes[this.#next - this.#first];
      this.#next++;
      this.#inFlight++;
      this.#target.write(write.data).then(
        (result) => {
          this.#writeEnded(write);
          write.resolve(result);
        },
        (error: Error) => {
          this.#writeEnded(write);
          write.reject(error);
        },
      );
    }
    this.#beginFlush();
    this.#checkQuiet();
  }

  #writeEnded(write: PendingWrite<W, R>): void {
    this.#inFlight--;
    write.isDone = true;
    while (this.#writes.length > 0 && this.#writes[0].isDone) {
      this.#writes.shift();
      this.#first++;
    }
    this.#schedule();
  }

  /** Begins the flush that somebody waits for, when its writes are complete and it is time. */
  #beginFlush(): void {
    if (this.#flushes.length === 0 || this.#isFlushing || this.#isGathering) return;
    const { nowMs } = this.#loop;
    if (this.#roundEnd < 0) {
      const waitMs = this.#hasGathered ? 0 : this.#delay.waitMs(nowMs, this.#waiting);
      this.#hasGathered = false;
      if (waitMs > 0) {
        this.#isGathering = true;
        this.#timer.arm(waitMs);
        return;
      }
      // Decided once: later writes do not hold up the flush of earlier ones.
      this.#roundEnd = this.#flushes[this.#flushes.length - 1].end;
    }
    if (this.#first < this.#roundEnd) return;
    const end = this.#first;
    this.#roundEnd = -1;
    this.#isFlushing = true;
    this.#flushed++;
    this.#delay.started(nowMs, this.#waiting);
    this.#waiting = 0;
    let count = 0;
    while (count < this.#flushes.length && this.#flushes[count].end <= end) count++;
    const covered = this.#flushes.splice(0, count);
    this.#target.flush().then(
      () => {
        this.#durable = end;
        this.#flushEnded();
        for (const flush of covered) flush.resolve();
      },
      (error: unknown) => {
        this.#poison(error);
        this.#flushEnded();
        for (const flush of covered) flush.reject(this.#failure as SunstarError);
      },
    );
  }

  #flushEnded(): void {
    this.#isFlushing = false;
    this.#delay.ended(this.#loop.nowMs, this.#waiting);
    this.#schedule();
  }

  #gathered(): void {
    if (!this.#isGathering) return;
    this.#isGathering = false;
    // The timer's clock need not agree with ours: it is not asked again.
    this.#hasGathered = true;
    this.#timer.cancel();
    this.#schedule();
  }

  #poison(cause: unknown): void {
    const error = new SunstarError(
      'SUNSTAR_DISPATCHER_POISONED',
      'A flush failed, so the kernel may have dropped written data: a later flush that succeeds would prove nothing. ' +
        'Check the device, and recover from what the file holds.',
      { cause },
    );
    this.#failure = error;
    this.#roundEnd = -1;
    for (const flush of this.#flushes.splice(0)) flush.reject(error);
    // What was not dispatched yet is not written any more.
    const undispatched = this.#next - this.#first;
    for (const write of this.#writes.splice(undispatched)) write.reject(error);
  }

  async #close(): Promise<void> {
    const quiet = new Promise<void>((resolve) => {
      this.#quiet = resolve;
    });
    this.#schedule();
    await quiet;
    await this.#timer.close();
  }

  #checkQuiet(): void {
    if (this.#quiet === null || this.#isFlushing || this.#isScheduled) return;
    if (this.#writes.length > 0 || this.#flushes.length > 0) return;
    this.#quiet();
    this.#quiet = null;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#delay.invariants();
    const fail = (what: string): never => {
      throw new SunstarError('SUNSTAR_INVARIANT', `FlushDispatcher: ${what}.`);
    };
    if (this.#next < this.#first || this.#next > this.#first + this.#writes.length) {
      fail('the next write is not in the queue');
    }
    const pending = this.#writes.slice(0, this.#next - this.#first).filter((write) => !write.isDone).length;
    if (this.#durable > this.#first) fail('writes are durable that are not complete');
    if (pending !== this.#inFlight || pending > this.#maxWrites)
      fail('the count of writes in flight is wrong');
    for (let i = 1; i < this.#flushes.length; i++) {
      if (this.#flushes[i].end < this.#flushes[i - 1].end) fail('flushes changed their order');
    }
  }
}
