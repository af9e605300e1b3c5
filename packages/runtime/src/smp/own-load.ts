import type { ShardMemory } from '../memory/index.js';
import type { Clock } from '../sync/index.js';
import { FOREIGN_SERVICE } from './foreign-objects.js';
import { loadWord } from './load-word.js';
import { MAX_NAMES } from './message.js';

/** A load is made anew for every so many answers, */
const ANSWERS = 64;
/** or when it is as old as this, in milliseconds. */
const FRESH_MS = 0.5;
/** What costs more to find out is looked up this often. */
const MEMORY_MS = 10;
const UTILISATION_MS = 50;
/** Every so many calls one is timed; and the first one after {@link FRESH_MS}. */
const TIMED = 128;
/** How much a timed call changes the smoothed latency. */
const SMOOTHING = 1 / 8;

/** What this shard tells of itself with every answer. */
export class OwnLoad {
  readonly #memory: ShardMemory;
  readonly #queueDepth: () => number;
  readonly #idleMs: (() => number) | undefined;
  readonly #clock: Clock;
  /** By service number: the word, how often it may still be used, and the smoothed latency in microseconds. */
  readonly #words = new Int32Array(MAX_NAMES);
  readonly #left = new Int32Array(MAX_NAMES);
  readonly #latenciesUs: Float64Array = new Float64Array(MAX_NAMES).fill(Number.NaN);
  #services = 0;
  #utilisation = Number.NaN;
  #freeFraction = 1;
  #turnMs = Number.NEGATIVE_INFINITY;
  #freshUntilMs = Number.NEGATIVE_INFINITY;
  #memoryUntilMs = Number.NEGATIVE_INFINITY;
  #idleSinceMs = 0;
  #idleAtMs: number;
  #untimed = 0;

  /**
   * @param idleMs - How long this thread has had nothing to do, ever; utilisation is unknown without it.
   * @param clock - For latencies.
   */
  constructor(
    memory: ShardMemory,
    queueDepth: () => number,
    idleMs: (() => number) | undefined,
    clock: Clock,
  ) {
    this.#memory = memory;
    this.#queueDepth = queueDepth;
    this.#idleMs = idleMs;
    this.#clock = clock;
    this.#idleAtMs = clock.nowMs;
    this.#idleSinceMs = idleMs?.() ?? 0;
  }

  /** A turn begins at that time: of the turn's clock, which costs nothing to read. */
  turn(nowMs: number): void {
    this.#turnMs = nowMs;
    if (nowMs < this.#freshUntilMs) return;
    this.#freshUntilMs = nowMs + FRESH_MS;
    this.#untimed = 0;
    this.#left.fill(0, 0, this.#services);
  }

  /** When the call that begins now did so; negative when it is not one of those that are timed. */
  begin(): number {
    if (--this.#untimed > 0) return -1;
    this.#untimed = TIMED;
    return this.#clock.nowMs;
  }

  /** A call that was timed has ended. */
  ended(serviceId: number, beganMs: number): void {
    const tookUs = Math.max(0, (this.#clock.nowMs - beganMs) * 1000);
    const before = this.latencyUs(serviceId);
    this.#latenciesUs[serviceId] = Number.isNaN(before) ? tookUs : before + (tookUs - before) * SMOOTHING;
  }

  /** The word for an answer of a service. */
  word(serviceId: number): number {
    if (serviceId === FOREIGN_SERVICE) return 0;
    if (this.#left[serviceId] > 0) {
      this.#left[serviceId]--;
      return this.#words[serviceId];
    }
    if (serviceId >= this.#services) this.#services = serviceId + 1;
    this.#left[serviceId] = ANSWERS;
    this.#look();
    const word = loadWord(
      this.#utilisation,
      this.latencyUs(serviceId),
      this.#queueDepth(),
      this.#freeFraction,
    );
    this.#words[serviceId] = word;
    return word;
  }

  /** Smoothed time from the begin of a method to its answer; NaN when none was timed. */
  latencyUs(serviceId: number): number {
    return this.#latenciesUs[serviceId];
  }

  /** Share of the time in which this thread had something to do; NaN when it is not known. */
  get utilisation(): number {
    this.#look();
    return this.#utilisation;
  }

  /** Calls that run or wait here. */
  get queueDepth(): number {
    return this.#queueDepth();
  }

  /** Part of the arena that is free. */
  get freeFraction(): number {
    this.#look();
    return this.#freeFraction;
  }

  #look(): void {
    const nowMs = this.#turnMs;
    if (nowMs >= this.#memoryUntilMs) {
      this.#memoryUntilMs = nowMs + MEMORY_MS;
      const { freeBytes, totalBytes } = this.#memory.stats();
      this.#freeFraction = freeBytes / totalBytes;
    }
    if (this.#idleMs === undefined || nowMs - this.#idleAtMs < UTILISATION_MS) return;
    const idleMs = this.#idleMs();
    const passedMs = nowMs - this.#idleAtMs;
    this.#utilisation = Math.min(1, Math.max(0, 1 - (idleMs - this.#idleSinceMs) / passedMs));
    this.#idleAtMs = nowMs;
    this.#idleSinceMs = idleMs;
  }
}
