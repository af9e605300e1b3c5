import { SunstarError } from '../errors.js';
import { invariant } from '../sync/errors.js';
import { Timer, type Timers } from '../sync/timer.js';
import { DepthController } from './depth-controller.js';
import { FairTree } from './fair-tree.js';
import type { IoClass, IoGroup } from './io-class.js';
import { ioCost } from './io-cost.js';
import { type IoRequest, IoRequestList } from './io-request.js';
import { LearnedLatency } from './learned-latency.js';
import type { ResolvedIoOptions } from './options.js';
import { type IoQueueStats, queueStats } from './stats.js';

/** The time for an {@link IoQueue}; both count milliseconds from the same start. */
export interface IoClock {
  /** The time now. */
  readonly nowMs: number;
  /** The time at which the running tick of the loop began: cheaper, and right where completions are handled. */
  readonly tickMs: number;
}

/** What an {@link IoQueue} stands on. */
export interface IoQueueParts {
  /** Names the device in errors and stats. */
  readonly device: string;
  readonly clock: IoClock;
  readonly timers: Timers;
  /** The group of an id; for ids that the shard does not know, another one. */
  readonly groupOf: (groupId: number) => IoGroup;
  /** Runs `start` of a request in its group: what it submits belongs there. */
  readonly swapGroup: (groupId: number) => number;
  readonly options: ResolvedIoOptions;
}

/** Requests up to this size are to meet the latency goal. */
const REFERENCE_BYTES = 131_072;
/** What the device gets before anything is learned, in requests of the reference size. */
const INITIAL_REQUESTS = 8;
/** With this many in flight only one request in {@link TIMED_EVERY} is timed. */
const TIMED_ALL_BELOW = 8;
const TIMED_EVERY = 4;
/** What began when more than so many times the limit was in flight began before there was a limit. */
const OVER_LIMIT = 2;
/** A change of a group's cap is noticed after this time at the latest. */
const MAX_WAKE_MS = 100;

/**
 * The requests of one shard for one device, in front of the ring. While a single group uses the device they go
 * straight through. When several do, the device gets only as much as it finishes within the latency goal, and what
 * is next is decided by shares and caps, see `FairTree` and `DepthController`. A group that has nothing in flight does
 * not wait for that limit when it is next: it is not the one that fills the device.
 *
 * Work conserving: nothing waits while the device has room, except for a cap.
 */
export class IoQueue {
  readonly device: string;
  readonly #parts: IoQueueParts;
  readonly #clock: IoClock;
  readonly #tree: FairTree;
  readonly #latency: LearnedLatency;
  readonly #inFlight: IoRequestList = new IoRequestList();
  readonly #wakeUp: Timer;
  #options: ResolvedIoOptions;
  #depth: DepthController;
  #inFlightCost = 0;
  /** Moving average of what requests took on the device. */
  #meanLatencyMs = 0;
  #lastClass: IoClass | null = null;
  #contendedUntilMs = Number.NEGATIVE_INFINITY;
  #startedSinceTimed = 0;
  #lastLookMs: number;
  #lastMeasuredMs: number;
  #isPumping = false;
  #refusedDeadlines = 0;
  #probes = 0;

  constructor(parts: IoQueueParts) {
    this.#parts = parts;
    this.device = parts.device;
    this.#clock = parts.clock;
    this.#options = parts.options;
    this.#tree = new FairTree(parts.groupOf);
    this.#latency = new LearnedLatency(parts.options.latencyHalfLifeMs);
    this.#lastLookMs = this.#lastMeasuredMs = parts.clock.nowMs;
    this.#depth = this.#makeDepth(INITIAL_REQUESTS * this.#referenceCost());
    this.#wakeUp = new Timer(() => this.#pump(this.#look()));
  }

  /** Requests that the device has. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Requests that wait. */
  get queued(): number {
    return this.#tree.size;
  }

  /** Changes options; those of the latency memory count for new queues only. */
  configure(options: ResolvedIoOptions): void {
    this.#options = options;
    this.#depth = this.#makeDepth(this.#depth.limit);
    this.#pump(this.#look());
  }

  /** Whether a group's queue takes no more. */
  isFull(groupId: number): boolean {
    return this.#tree.classOf(groupId).waiting.size >= this.#options.maxQueuedPerGroup;
  }

  /**
   * Starts a request, now or when it is its turn. Its `groupId`, `isWrite` and `sizeBytes` are filled in.
   *
   * @returns False when its group's queue is full: nothing has happened.
   */
  submit(request: IoRequest): boolean {
    const { groupId, isWrite, sizeBytes } = request;
    const of = this.#tree.classOf(groupId);
    request.ioClass = of;
    request.ioCost = ioCost(this.#options.costs, isWrite, sizeBytes);
    const isTimed =
      this.#inFlight.size < TIMED_ALL_BELOW ||
      this.#startedSinceTimed >= TIMED_EVERY ||
      of !== this.#lastClass;
    const nowMs = isTimed ? this.#look() : this.#lastLookMs;
    this.#noteActivity(of, nowMs);
    if (this.#tree.size === 0 && this.#hasRoom() && this.#tree.tryTake(of, request, nowMs)) {
      this.#start(request, nowMs, isTimed);
      return true;
    }
    if (of.waiting.size >= this.#options.maxQueuedPerGroup) {
      of.refused++;
      return false;
    }
    request.queuedMs = nowMs;
    this.#tree.add(of, request);
    of.queuedTotal++;
    // With room, what waits is held back by a cap, and this may be the one that is not.
    if (of.inFlight === 0 || this.#hasRoom()) this.#pump(this.#look());
    return true;
  }

  /** A started request is over. Only those that succeeded teach anything about latency. */
  finished(request: IoRequest, succeeded: boolean): void {
    const wasLimited = this.#tree.size > 0 && !this.#hasRoom();
    const withCost = this.#inFlightCost;
    this.#inFlight.remove(request);
    this.#inFlightCost -= request.ioCost;
    if (this.#inFlight.size === 0) this.#inFlightCost = 0;
    if (request.ioClass !== null) request.ioClass.inFlight--;
    const nowMs = this.#clock.tickMs;
    if (nowMs > this.#lastLookMs) this.#lastLookMs = nowMs;
    if (request.isTimed && succeeded) this.#learn(request, withCost, wasLimited, nowMs);
    if (this.#tree.size > 0) this.#pump(nowMs);
  }

  /** Takes out a request that waits; false when it has started. Its `start` is not called any more. */
  cancel(request: IoRequest): boolean {
    const of = request.ioClass;
    if (of === null || request.ioList !== of.waiting) return false;
    this.#tree.remove(of, request);
    of.cancelled++;
    if (this.#tree.size > 0) this.#pump(this.#look());
    else this.#parts.timers.cancel(this.#wakeUp);
    return true;
  }

  /**
   * How long a request of the current moment would take, as far as is known: its turn in the queue and what the
   * device needs, at the quantile of the admission. 0 when nothing is known.
   *
   * @param roundsAhead - How many times what the device needs passes before it is queued.
   */
  estimateMs(groupId: number, isWrite: boolean, sizeBytes: number, roundsAhead = 0): number {
    const nowMs = this.#look();
    const of = this.#tree.classOf(groupId);
    const cost = ioCost(this.#options.costs, isWrite, sizeBytes);
    const learned = this.#latency.expectMs(isWrite, sizeBytes, this.#options.admissionQuantile, nowMs);
    // A device that stands still teaches nothing new: what it has had for longest does.
    const oldest = this.#inFlight.first;
    const stuckMs = oldest === null ? 0 : nowMs - oldest.startedMs;
    const deviceMs = Math.max(learned, stuckMs);
    return (this.#queueMs(of, cost, sizeBytes, nowMs) + deviceMs) * (1 + roundsAhead);
  }

  /**
   * Admits an operation that must be over within a time.
   *
   * @throws SunstarError SUNSTAR_DEADLINE_UNMEETABLE when, as far as is known, it would not be.
   */
  admit(groupId: number, isWrite: boolean, sizeBytes: number, deadlineMs: number, roundsAhead = 0): void {
    const expectedMs = this.estimateMs(groupId, isWrite, sizeBytes, roundsAhead);
    if (expectedMs <= deadlineMs) return;
    const nowMs = this.#lastLookMs;
    if (nowMs - this.#lastMeasuredMs >= this.#options.probeIntervalMs) {
      // Also the probe may hang: the next one has to wait as long.
      this.#lastMeasuredMs = nowMs;
      this.#probes++;
      return;
    }
    this.#refusedDeadlines++;
    throw deadlineError(this.device, isWrite, deadlineMs, expectedMs, this.#inFlight.size, this.#tree.size);
  }

  /** A snapshot of the counters and of what was learned. */
  get stats(): IoQueueStats {
    return queueStats(this.device, this.#tree.classes, this.#latency.stats(this.#look()), {
      inFlight: this.#inFlight.size,
      queued: this.#tree.size,
      depthLimitBytes: this.#limit(),
      isLimited: this.#isContended(),
      inFlightBytes: this.#inFlightCost,
      refusedDeadlines: this.#refusedDeadlines,
      probes: this.#probes,
    });
  }

  #look(): number {
    this.#lastLookMs = this.#clock.nowMs;
    return this.#lastLookMs;
  }

  #referenceCost(): number {
    const { costs } = this.#options;
    return Math.max(ioCost(costs, false, REFERENCE_BYTES), ioCost(costs, true, REFERENCE_BYTES));
  }

  #makeDepth(initialCost: number): DepthController {
    const referenceCost = this.#referenceCost();
    return new DepthController(
      {
        latencyGoalMs: this.#options.latencyGoalMs,
        referenceCost,
        minCost: referenceCost,
        maxCost: this.#options.maxInFlight * referenceCost,
      },
      initialCost,
    );
  }

  #isContended(): boolean {
    return this.#options.limitSingleGroup || this.#contendedUntilMs > this.#lastLookMs;
  }

  #limit(): number {
    return this.#isContended() ? this.#depth.limit : Number.POSITIVE_INFINITY;
  }

  /** The last request may go over the limit, so that one larger than it has its turn, too. */
  #hasRoom(): boolean {
    return this.#inFlightCost < this.#limit() && this.#hasPlace();
  }

  #hasPlace(): boolean {
    return this.#inFlight.size < this.#options.maxInFlight;
  }

  #noteActivity(of: IoClass, nowMs: number): void {
    const last = this.#lastClass;
    of.lastActiveMs = nowMs;
    if (of === last) return;
    this.#lastClass = of;
    if (last === null) return;
    // The end of this window is that of the group that was active before.
    const untilMs = last.lastActiveMs + this.#options.activeWindowMs;
    if (untilMs > nowMs) this.#contendedUntilMs = Math.max(this.#contendedUntilMs, untilMs);
  }

  #start(request: IoRequest, nowMs: number, isTimed: boolean): void {
    const of = request.ioClass as IoClass;
    of.inFlight++;
    of.started++;
    of.startedBytes += request.sizeBytes;
    request.startedMs = nowMs;
    request.isTimed = isTimed;
    request.behindCost = this.#inFlightCost;
    if (isTimed) this.#startedSinceTimed = 0;
    else this.#startedSinceTimed++;
    this.#inFlight.push(request);
    this.#inFlightCost += request.ioCost;
    request.start();
  }

  #pump(nowMs: number): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    const before = this.#parts.swapGroup(0);
    try {
      while (this.#hasPlace()) {
        const request = this.#tree.next(nowMs, !this.#hasRoom());
        if (request === null) break;
        const of = request.ioClass as IoClass;
        of.queuedTotalMs += Math.max(0, nowMs - request.queuedMs);
        this.#noteActivity(of, nowMs);
        this.#parts.swapGroup(request.groupId);
        this.#start(request, nowMs, true);
      }
    } finally {
      this.#parts.swapGroup(before);
      this.#isPumping = false;
    }
    this.#armWakeUp(nowMs);
  }

  /** What only its bandwidth holds back must be looked at again without a completion. */
  #armWakeUp(nowMs: number): void {
    const { earliestMs } = this.#tree;
    if (this.#tree.size > 0 && earliestMs !== Number.POSITIVE_INFINITY) {
      this.#parts.timers.arm(this.#wakeUp, Math.min(Math.max(earliestMs - nowMs, 0), MAX_WAKE_MS));
    } else if (this.#wakeUp.isArmed) this.#parts.timers.cancel(this.#wakeUp);
  }

  /** @param withCost - What was in flight when it ended, itself included. */
  #learn(request: IoRequest, withCost: number, wasLimited: boolean, nowMs: number): void {
    const latencyMs = Math.max(0, nowMs - request.startedMs);
    this.#lastMeasuredMs = nowMs;
    this.#latency.record(request.isWrite, request.sizeBytes, latencyMs, nowMs);
    this.#meanLatencyMs += (latencyMs - this.#meanLatencyMs) / 16;
    if (Math.max(request.behindCost, withCost - request.ioCost) <= this.#referenceCost()) {
      this.#depth.sampleIdle(latencyMs, request.ioCost, nowMs);
    }
    // What started behind more than the limit allows says nothing about the limit.
    if (!this.#isContended() || request.behindCost > OVER_LIMIT * this.#depth.limit) return;
    const together = (request.ioClass as IoClass).inFlight + 1;
    this.#depth.sample(latencyMs, request.ioCost, together, wasLimited);
  }

  /** The wait for a turn: by Little's law the device finishes what it has in flight in one latency. */
  #queueMs(of: IoClass, cost: number, sizeBytes: number, nowMs: number): number {
    let capMs = 0;
    for (let one: IoClass | null = of; one !== null; one = one.parent) {
      const ownMs = (one.waitingCost / one.group.ioBytesPerSecond) * 1000;
      capMs = Math.max(capMs, one.waitMs(sizeBytes, nowMs) + ownMs);
    }
    if (this.#hasRoom()) return capMs;
    const ahead = (of.waitingCost + cost) / this.#tree.fractionOf(of);
    return Math.max(capMs, (ahead * this.#meanLatencyMs) / Math.max(this.#inFlightCost, 1));
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#tree.invariants(invariant);
    this.#latency.invariants(invariant);
    this.#inFlight.invariants(invariant);
    let cost = 0;
    for (let request = this.#inFlight.first; request !== null; request = request.ioNext)
      cost += request.ioCost;
    invariant(Math.abs(cost - this.#inFlightCost) < 1, 'the cost in flight adds up');
    invariant(this.#inFlight.size <= this.#options.maxInFlight, 'the device has no more than its limit');
    if (this.#hasRoom() && this.#tree.size > 0) {
      invariant(this.#wakeUp.isArmed, 'with room, requests wait only for a cap, and are woken');
    }
  }
}

function deadlineError(
  device: string,
  isWrite: boolean,
  deadlineMs: number,
  expectedMs: number,
  inFlight: number,
  queued: number,
): SunstarError {
  const what = isWrite ? 'A write' : 'A read';
  return new SunstarError(
    'SUNSTAR_DEADLINE_UNMEETABLE',
    `${what} within ${deadlineMs} ms cannot be expected of device ${device}, which takes ${expectedMs.toFixed(2)} ms now ` +
      `(learned from its latency; ${inFlight} in flight, ${queued} queued). Nothing was sent to it. ` +
      'Fail over or answer without the disk, retry later, or allow more time.',
  );
}
