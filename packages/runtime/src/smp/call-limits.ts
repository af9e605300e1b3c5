import { SunstarError } from '../errors.js';
import { type Clock, Timer, type Timers } from '../sync/index.js';
import type { CallOptions } from './call-options.js';

/** Where the time of calls comes from. */
export interface CallClocks {
  /** The same on all shards: for deadlines. */
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Why a call is given up, and how its promise is to be rejected. */
export interface GivingUp {
  /** What the signal of the other side is aborted with. */
  readonly reason: unknown;
  /** Made when the promise is rejected: see {@link rejectWith}. */
  readonly error: () => unknown;
}

/** What may end a call before its answer: its time, and a signal. The timer is the call's time. */
export abstract class CallLimits extends Timer {
  /** On the shared clock; Infinity for none. */
  readonly deadlineMs: number;
  readonly #timers: Timers;
  readonly #signal: AbortSignal | undefined;
  readonly #timeoutMs: number | undefined;
  #onAbort: (() => void) | undefined;

  constructor(options: CallOptions, { clock, timers }: CallClocks) {
    super();
    this.#timers = timers;
    this.#signal = options.signal;
    this.#timeoutMs = options.timeoutMs;
    this.deadlineMs =
      options.timeoutMs === undefined ? Number.POSITIVE_INFINITY : clock.nowMs + options.timeoutMs;
  }

  /** `counters.increment on shard 1`, for error messages. */
  abstract get what(): string;

  /** Ends the call; called at most once, after {@link arm} and before {@link disarm}. */
  protected abstract giveUp(why: GivingUp): void;

  /** Starts the clock and listens to the signal. @returns Why the call is over already, if it is. */
  arm(): GivingUp | undefined {
    const signal = this.#signal;
    if (signal?.aborted) return aborted(signal);
    if (this.#timeoutMs !== undefined) this.#timers.arm(this, this.#timeoutMs);
    if (signal !== undefined) {
      this.#onAbort = () => {
        this.disarm();
        this.giveUp(aborted(signal));
      };
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
    return undefined;
  }

  /** The call is over. */
  disarm(): void {
    if (this.isArmed) this.#timers.cancel(this);
    if (this.#onAbort === undefined) return;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#onAbort = undefined;
  }

  override onExpired(): void {
    this.disarm();
    const { what } = this;
    const timeoutMs = this.#timeoutMs as number;
    this.giveUp({ reason: timedOut(what, timeoutMs), error: () => timedOut(what, timeoutMs) });
  }
}

function aborted(signal: AbortSignal): GivingUp {
  return { reason: signal.reason, error: () => signal.reason as unknown };
}

/** The error of a call whose time is over. */
export function timedOut(what: string, timeoutMs: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_CALL_TIMEOUT',
    `${what} was not answered within ${timeoutMs} ms; it may have run, or still be running. ` +
      'Repeat it only if that does no harm, give it more time, or look for what keeps that shard busy.',
  );
}

/** The error of a call that had waited for its method until its time was over. */
export function overBeforeItBegan(service: string, method: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_CALL_TIMEOUT',
    `The time of the call of ${service}.${method}() was over before it began.`,
  );
}
