import { currentGroupId } from '../scheduling/current-group.js';
import { callIn } from '../scheduling/thread-scheduler.js';
import { timedOut } from './errors.js';
import { threadTimers } from './node-timers.js';
import { Timer, type Timers } from './timer.js';

/** Options of {@link withTimeout}. */
export interface WithTimeoutOptions {
  /** What the error calls the work. @default 'The work' */
  readonly name?: string;
  /** @default threadTimers */
  readonly timers?: Timers;
}

/**
 * The result of some work, unless it takes too long. Work that is given as a function gets a signal that is aborted
 * when the time is up, so that it can stop; a promise goes on, and what becomes of it is ignored.
 *
 * @param timeoutMs - 0 to {@link MAX_DELAY_MS}.
 * @returns Rejects as the work does, or with `SUNSTAR_TIMEOUT`.
 */
export function withTimeout<T>(
  timeoutMs: number,
  work: PromiseLike<T> | ((signal: AbortSignal) => T | PromiseLike<T>),
  options?: WithTimeoutOptions,
): Promise<T> {
  const timers = options?.timers ?? threadTimers;
  const groupId = currentGroupId();
  return new Promise<T>((resolve, reject) => {
    const controller = typeof work === 'function' ? new AbortController() : undefined;
    const timer = new Timer(() => {
      const error = timedOut(options?.name ?? 'The work', timeoutMs);
      reject(error);
      controller?.abort(error);
    });
    timers.arm(timer, timeoutMs);
    const settle = async (): Promise<T> => {
      try {
        return await (typeof work === 'function' ? work((controller as AbortController).signal) : work);
      } finally {
        timers.cancel(timer);
      }
    };
    settle().then(
      (value) => callIn(groupId, () => resolve(value)),
      (error: Error) => callIn(groupId, () => reject(error)),
    );
  });
}
