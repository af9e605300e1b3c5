import { callIn } from '../scheduling/thread-scheduler.js';
import { aborted } from './errors.js';
import { threadTimers } from './node-timers.js';
import { Timer, type Timers } from './timer.js';

/** Options of {@link sleep}. */
export interface SleepOptions {
  /** Ends it with `SUNSTAR_ABORTED`. */
  readonly signal?: AbortSignal;
  /** @default threadTimers */
  readonly timers?: Timers;
}

/**
 * Resolves after a delay.
 *
 * @param delayMs - 0 to {@link MAX_DELAY_MS}, rounded up to whole milliseconds, at least 1.
 * @returns Rejects with `SUNSTAR_ABORTED`, `SUNSTAR_INVALID_OPTION` or `SUNSTAR_TOO_MANY_TIMERS`.
 */
export function sleep(delayMs: number, options?: SleepOptions): Promise<void> {
  const signal = options?.signal;
  const timers = options?.timers ?? threadTimers;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) throw aborted('A sleep', signal.reason);
    const onAbort = (): void => {
      timers.cancel(timer);
      callIn(timer.ownerId, () => reject(aborted('A sleep', signal?.reason)));
    };
    const timer = new Timer(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    timers.arm(timer, delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
