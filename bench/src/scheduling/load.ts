import { setImmediate as immediate } from 'node:timers/promises';
import { type Completion, currentShard, IORING_OP, maybeYield, type SchedulingGroup } from '@sunstar/runtime';

/** How long a shard is kept busy for one measurement. */
const DURATION_MS = 1_500;
/** Before anything counts. */
const SETTLE_MS = 100;
const LOOPS = 4;
const QUOTA_MS = 0.5;
/** Requests come 1 to 5 ms apart. */
const MIN_GAP_MS = 1;
const MAX_GAP_MS = 5;
const UNITS_PER_REQUEST = 3;
const ITERATIONS = 8_000;

let sink = 1;

/** A fixed amount of work, some 10 to 20 microseconds. */
function unit(): void {
  let state = sink;
  for (let i = 0; i < ITERATIONS; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
  }
  sink = state | 1;
}

/** Who decides what runs next. */
export interface Scheduling {
  /** Starts a loop of the small or the large load. */
  start(isLarge: boolean, loop: () => Promise<void>): void;
  /** Has the loop make room when it has run for the quota. */
  pause(): Promise<unknown> | undefined;
  /** Calls `arrived` after a time. */
  request(delayMs: number, arrived: () => void): void;
}

/** Groups of sunstar, or one group for everything. */
export class Groups implements Scheduling {
  readonly #small: SchedulingGroup;
  readonly #large: SchedulingGroup;
  readonly #urgent: SchedulingGroup;
  readonly #reactor = currentShard().reactor;
  readonly #view: DataView;
  readonly #offset: number;
  readonly #address: number;

  constructor(small: SchedulingGroup, large: SchedulingGroup, urgent: SchedulingGroup) {
    this.#small = small;
    this.#large = large;
    this.#urgent = urgent;
    const { memory } = currentShard();
    this.#offset = memory.allocate(16);
    this.#view = memory.arena.view;
    this.#address = memory.arena.address + this.#offset;
  }

  start(isLarge: boolean, loop: () => Promise<void>): void {
    void (isLarge ? this.#large : this.#small).run(loop);
  }

  pause(): Promise<void> | undefined {
    return maybeYield();
  }

  // A timeout of the ring: exact, and it arrives as a completion, like a message from a socket.
  request(delayMs: number, arrived: () => void): void {
    const completion: Completion = { complete: arrived };
    void this.#urgent.run(() => {
      this.#view.setBigInt64(this.#offset, 0n, true);
      this.#view.setBigInt64(this.#offset + 8, BigInt(Math.round(delayMs * 1e6)), true);
      this.#reactor.submit(completion, IORING_OP.TIMEOUT, -1, this.#address, 1, 0);
      // The kernel reads the time when the operation is submitted.
      this.#reactor.ring.enter(0);
    });
  }
}

/** What a careful program does without sunstar. */
export class Immediates implements Scheduling {
  #sinceMs = 0;

  start(_isLarge: boolean, loop: () => Promise<void>): void {
    void loop();
  }

  pause(): Promise<unknown> | undefined {
    const nowMs = performance.now();
    if (nowMs - this.#sinceMs < QUOTA_MS) return undefined;
    this.#sinceMs = nowMs;
    return immediate();
  }

  request(delayMs: number, arrived: () => void): void {
    setTimeout(arrived, delayMs);
  }
}

/** What came of a load. */
export interface Outcome {
  /** Work of the large load, by that of the small one. */
  readonly ratio: number;
  /** How late requests were begun, in milliseconds, in rising order. */
  readonly waitsMs: readonly number[];
}

/** Keeps the thread busy with two loads (unless `isIdle`), and has requests come meanwhile. */
export async function underLoad(scheduling: Scheduling, isIdle = false): Promise<Outcome> {
  const done = [0, 0];
  const waitsMs: number[] = [];
  let counts = false;
  let isOver = false;
  let running = 0;
  const loop = async (side: number): Promise<void> => {
    running++;
    while (!isOver) {
      unit();
      if (counts) done[side]++;
      const pause = scheduling.pause();
      if (pause !== undefined) await pause;
    }
    running--;
  };
  for (let i = 0; i < LOOPS && !isIdle; i++) {
    scheduling.start(false, () => loop(0));
    scheduling.start(true, () => loop(1));
  }
  const nextRequest = (): void => {
    if (isOver) return;
    const gapMs = MIN_GAP_MS + Math.random() * (MAX_GAP_MS - MIN_GAP_MS);
    const dueMs = performance.now() + gapMs;
    running++;
    scheduling.request(gapMs, () => {
      running--;
      if (counts) waitsMs.push(Math.max(performance.now() - dueMs, 0.001));
      for (let i = 0; i < UNITS_PER_REQUEST; i++) unit();
      nextRequest();
    });
  };
  nextRequest();
  await after(SETTLE_MS);
  counts = true;
  await after(DURATION_MS);
  counts = false;
  isOver = true;
  while (running > 0) await after(1);
  return { ratio: done[1] / done[0], waitsMs: waitsMs.sort((a, b) => a - b) };
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
