import { currentGroupId } from '../scheduling/current-group.js';
import { threadScheduler } from '../scheduling/thread-scheduler.js';
import { type Clock, LowresClock, lowresClock } from './lowres-clock.js';
import type { Timer, Timers } from './timer.js';
import { TimerWheel } from './timer-wheel.js';

/** Options of {@link NodeTimers}. */
export interface NodeTimersOptions {
  /** What delays count from; must agree with performance.now(). @default lowresClock */
  readonly clock?: Clock;
  /** Timers that can be armed at once, 1 to 2^31 − 1. @default 1048576 */
  readonly maxTimers?: number;
}

/**
 * A {@link TimerWheel} that one timer of Node's drives. That one is set at the end of a turn of the event loop in
 * which timers were armed, not for each of them. Armed timers keep the event loop alive. A timer expires in a turn of
 * the scheduling group that armed it.
 */
export class NodeTimers implements Timers {
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  #alarm: NodeJS.Timeout | undefined;
  #alarmMs = Number.POSITIVE_INFINITY;
  #willSettle = false;
  readonly #settle = (): void => {
    this.#willSettle = false;
    this.#setAlarm();
  };
  readonly #ring = (): void => {
    this.#alarmMs = Number.POSITIVE_INFINITY;
    this.#wheel.advance(this.#clock instanceof LowresClock ? this.#clock.refresh() : this.#clock.nowMs);
    this.#setAlarm();
  };

  constructor(options: NodeTimersOptions = {}) {
    this.#clock = options.clock ?? lowresClock;
    this.#wheel = new TimerWheel({
      expire: expireInGroup,
      ...(options.maxTimers === undefined ? {} : { maxTimers: options.maxTimers }),
    });
  }

  get nowMs(): number {
    return this.#clock.nowMs;
  }

  /** How many timers are armed. */
  get size(): number {
    return this.#wheel.size;
  }

  arm(timer: Timer, delayMs: number): void {
    this.#wheel.armAt(timer, this.#clock.nowMs, delayMs);
    timer.ownerId = currentGroupId();
    timer.isDue = false;
    if (!this.#willSettle) this.#settleLater();
  }

  cancel(timer: Timer): boolean {
    if (!this.#wheel.cancel(timer)) {
      const wasDue = timer.isDue;
      timer.isDue = false;
      return wasDue;
    }
    if (this.#wheel.size === 0 && !this.#willSettle) this.#settleLater();
    return true;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#wheel.invariants();
  }

  #settleLater(): void {
    this.#willSettle = true;
    setImmediate(this.#settle);
  }

  #setAlarm(): void {
    const nextMs = this.#wheel.nextMs;
    if (nextMs === Number.POSITIVE_INFINITY) {
      // It may ring for nothing, but nobody waits for it.
      this.#alarm?.unref();
      return;
    }
    if (this.#alarmMs <= nextMs) {
      this.#alarm?.ref();
      return;
    }
    clearTimeout(this.#alarm);
    this.#alarmMs = nextMs;
    const delayMs = Math.ceil(nextMs - performance.now());
    this.#alarm = setTimeout(this.#ring, Math.max(delayMs, 1));
  }
}

function expireInGroup(timer: Timer): void {
  if (timer.ownerId === currentGroupId()) {
    timer.onExpired();
    return;
  }
  timer.isDue = true;
  if (timer.isQueued) return;
  timer.isQueued = true;
  threadScheduler.post(timer.ownerId, timer);
}

/** The thread's timers, which everything in this package uses unless it is told otherwise. */
export const threadTimers: NodeTimers = new NodeTimers();
