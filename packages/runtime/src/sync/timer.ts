import type { Task } from '../scheduling/task.js';

/**
 * Something that happens later. Make it once and arm it as often as needed: arming allocates nothing, because the
 * timer itself is the entry in the wheel. It belongs to the wheel where it is armed.
 */
export class Timer implements Task {
  /** Neighbours in the slot's circular list. For {@link TimerWheel} only. @internal */
  wheelNext: Timer | null = null;
  /** @internal */
  wheelPrevious: Timer | null = null;
  /** Index of the slot. @internal */
  wheelSlot = 0;
  /** The tick at which it is due, as 32 bits that wrap. @internal */
  wheelTick = 0;
  /** The scheduling group that armed it, which it expires in. For {@link NodeTimers} only. @internal */
  ownerId = 0;
  /** It has expired and waits for its group's turn. @internal */
  isDue = false;
  /** Its group's queue has an entry for it, which may be of an earlier expiry. @internal */
  isQueued = false;

  readonly #callback: (() => void) | undefined;

  /** @param callback - What {@link onExpired} does, unless a subclass says otherwise. */
  constructor(callback?: () => void) {
    this.#callback = callback;
  }

  /** Whether it waits. */
  get isArmed(): boolean {
    return this.wheelNext !== null || this.isDue;
  }

  /** Called once when it is due; it is disarmed by then, and may be armed again from here. */
  onExpired(): void {
    this.#callback?.();
  }

  /** Its group's turn. For the scheduler. @internal */
  complete(_result?: number): void {
    this.isQueued = false;
    if (!this.isDue) return;
    this.isDue = false;
    this.onExpired();
  }
}

/** Where timers are armed. {@link NodeTimers} follow the clock, a {@link TimerWheel} is advanced by hand. */
export interface Timers {
  /** The time that delays are counted from. */
  readonly nowMs: number;
  /**
   * Has `timer.onExpired()` called after a delay, rounded up to whole milliseconds, and at least 1. A timer that is
   * armed already is moved.
   *
   * @param delayMs - 0 to {@link MAX_DELAY_MS}.
   * @throws SunstarError `SUNSTAR_INVALID_OPTION`, `SUNSTAR_TOO_MANY_TIMERS`
   */
  arm(timer: Timer, delayMs: number): void;
  /** Disarms; false when it was not armed. */
  cancel(timer: Timer): boolean;
}

/** The longest delay: 2^30 ms, 12.4 days. */
export const MAX_DELAY_MS: number = 2 ** 30;
