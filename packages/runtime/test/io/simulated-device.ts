import type { IoGroup } from '../../src/io/io-class.ts';
import { ioCost } from '../../src/io/io-cost.ts';
import { IoQueue } from '../../src/io/io-queue.ts';
import { IoRequest } from '../../src/io/io-request.ts';
import { type IoSchedulerOptions, resolveIoOptions } from '../../src/io/options.ts';
import { TimerWheel } from '../../src/sync/timer-wheel.ts';

/** A group as the scheduler sees it, with fields that tests change. */
export interface TestGroup extends IoGroup {
  ioShares: number;
  ioBytesPerSecond: number;
}

export function group(id: number, ioShares = 100, parent?: TestGroup): TestGroup {
  return { id, name: `group ${id}`, parent, ioShares, ioBytesPerSecond: Number.POSITIVE_INFINITY };
}

export class TestRequest extends IoRequest {
  readonly submittedAtMs: number;
  startedAtMs = Number.NaN;
  doneAtMs = Number.NaN;
  readonly #device: SimulatedDevice;
  onDone: ((request: TestRequest) => void) | null = null;

  constructor(device: SimulatedDevice, groupId: number, sizeBytes: number, isWrite = false) {
    super();
    this.#device = device;
    this.submittedAtMs = device.nowMs;
    this.groupId = groupId;
    this.sizeBytes = sizeBytes;
    this.isWrite = isWrite;
  }

  start(): void {
    this.#device.started(this);
  }
}

/** How fast the simulated device is; may change while it runs. */
export interface Speed {
  bytesPerMs: number;
  /** What each request takes besides its turn. */
  baseMs: number;
  /** What a write takes on top of that; others do not wait for it. @default 0 */
  writeBaseMs?: number;
  /** For how long the device stands still before it serves the next request. @default it never does */
  stallMs?: () => number;
}

/** Numbers from 0 to below 1, the same ones in every run. */
export function randomNumbers(seed = 1): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/**
 * A device that serves one request after the other, each in proportion to its cost, and an {@link IoQueue} in
 * front of it. Time passes when the test says so.
 */
export class SimulatedDevice {
  readonly wheel = new TimerWheel();
  readonly groups: readonly TestGroup[];
  readonly queue: IoQueue;
  readonly speed: Speed;
  readonly inFlight: TestRequest[] = [];
  readonly log: TestRequest[] = [];
  nowMs = 0;
  currentGroup = 0;
  isFrozen = false;
  #busyUntilMs = 0;
  readonly #options: ReturnType<typeof resolveIoOptions>;

  constructor(groups: readonly TestGroup[], speed: Speed, options: IoSchedulerOptions = {}) {
    this.groups = groups;
    this.speed = speed;
    this.#options = resolveIoOptions(options);
    const device = this;
    this.queue = new IoQueue({
      device: '1:1',
      clock: {
        get nowMs() {
          return device.nowMs;
        },
        get tickMs() {
          return device.nowMs;
        },
      },
      timers: this.wheel,
      groupOf: (id) => {
        const found = groups.find((one) => one.id === id);
        if (found === undefined) throw new Error(`no group ${id}`);
        return found;
      },
      swapGroup: (id) => {
        const before = this.currentGroup;
        this.currentGroup = id;
        return before;
      },
      options: this.#options,
    });
  }

  submit(groupId: number, sizeBytes: number, isWrite = false): TestRequest {
    const request = new TestRequest(this, groupId, sizeBytes, isWrite);
    this.queue.submit(request);
    return request;
  }

  started(request: TestRequest): void {
    request.startedAtMs = this.nowMs;
    const cost = ioCost(this.#options.costs, request.isWrite, request.sizeBytes);
    const { bytesPerMs, baseMs, writeBaseMs = 0, stallMs } = this.speed;
    this.#busyUntilMs = Math.max(this.#busyUntilMs, this.nowMs) + cost / bytesPerMs + (stallMs?.() ?? 0);
    request.doneAtMs = this.#busyUntilMs + baseMs + (request.isWrite ? writeBaseMs : 0);
    // In the order in which they end.
    const later = this.inFlight.findIndex((one) => one.doneAtMs > request.doneAtMs);
    this.inFlight.splice(later < 0 ? this.inFlight.length : later, 0, request);
    this.log.push(request);
  }

  /** Lets time pass up to a moment, with everything that happens meanwhile. */
  runUntil(untilMs: number): void {
    for (;;) {
      const next = this.isFrozen ? undefined : this.inFlight[0];
      const nextMs = Math.min(next?.doneAtMs ?? Number.POSITIVE_INFINITY, this.wheel.nextMs, untilMs);
      if (nextMs > this.nowMs) this.nowMs = nextMs;
      this.wheel.advance(this.nowMs);
      if (next !== undefined && next.doneAtMs <= this.nowMs) {
        this.inFlight.shift();
        this.queue.finished(next, true);
        next.onDone?.(next);
      } else if (nextMs >= untilMs) return;
    }
  }

  /** Keeps so many requests of a group outstanding. Call the returned function to stop. */
  load(groupId: number, outstanding: number, sizeBytes: number, isWrite = false): () => void {
    let isOn = true;
    const again = (): void => {
      if (!isOn) return;
      const request = new TestRequest(this, groupId, sizeBytes, isWrite);
      request.onDone = again;
      this.queue.submit(request);
    };
    for (let i = 0; i < outstanding; i++) again();
    return () => {
      isOn = false;
    };
  }

  /** Bytes that a group's requests moved from one time to another. */
  bytesOf(groupId: number, fromMs: number, toMs: number): number {
    return this.log
      .filter((one) => one.groupId === groupId && one.startedAtMs >= fromMs && one.startedAtMs < toMs)
      .reduce((sum, one) => sum + one.sizeBytes, 0);
  }
}
