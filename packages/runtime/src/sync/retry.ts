import { SunstarError } from '../errors.js';
import { aborted, checkInteger, invalidOption } from './errors.js';
import { sleep } from './sleep.js';
import { MAX_DELAY_MS, type Timers } from './timer.js';

/** Options of {@link retry}. */
export interface RetryOptions {
  /** Attempts in all, 1 to 2^31 − 1. @default 5 */
  readonly maxAttempts?: number;
  /** Longest wait before the second attempt. @default 50 */
  readonly initialDelayMs?: number;
  /** No wait is longer. @default 10000 */
  readonly maxDelayMs?: number;
  /** What the wait is multiplied with after each attempt, from 1. @default 2 */
  readonly factor?: number;
  /**
   * `full` waits for a random part of the delay, so that clients who failed together do not come back together;
   * `equal` for half of it and a random part of the other half; `none` for all of it. @default 'full'
   */
  readonly jitter?: 'full' | 'equal' | 'none';
  /** Whether it is worth to try again after an error. @default always */
  readonly isRetryable?: (error: unknown) => boolean;
  /** Ends the wait between attempts with `SUNSTAR_ABORTED`; given to the work as well. */
  readonly signal?: AbortSignal;
  /** @default threadTimers */
  readonly timers?: Timers;
  /** A number from 0 to below 1. @default Math.random */
  readonly random?: () => number;
}

/** What an attempt of {@link retry} is told. */
export interface RetryAttempt {
  /** From 1. */
  readonly attempt: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Does something again until it succeeds, with growing waits. The work must be one that may be done twice.
 *
 * @returns Rejects with `SUNSTAR_RETRIES_EXHAUSTED`, whose cause is the last error; with an error that is not
 * retryable as it is; with `SUNSTAR_ABORTED` or `SUNSTAR_INVALID_OPTION`.
 */
export async function retry<T>(
  work: (attempt: RetryAttempt) => T | PromiseLike<T>,
  options: RetryOptions = {},
): Promise<T> {
  const { signal, jitter = 'full', random = Math.random } = options;
  const maxAttempts = checkInteger('maxAttempts', options.maxAttempts ?? 5, 1, 2 ** 31 - 1);
  const maxDelayMs = checkDelay('maxDelayMs', options.maxDelayMs ?? 10_000);
  let delayMs = checkDelay('initialDelayMs', options.initialDelayMs ?? 50);
  const factor = options.factor ?? 2;
  if (!(factor >= 1 && factor < Number.POSITIVE_INFINITY)) throw invalidOption('factor', factor, 'from 1');
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted === true) throw aborted('A retry', signal.reason);
    try {
      return await work({ attempt, signal });
    } catch (error) {
      if (options.isRetryable?.(error) === false) throw error;
      if (attempt === maxAttempts) throw exhausted(maxAttempts, error);
    }
    delayMs = Math.min(delayMs, maxDelayMs);
    const fixedPart = jitter === 'none' ? 1 : jitter === 'equal' ? 0.5 : 0;
    await sleep(delayMs * (fixedPart + (1 - fixedPart) * random()), options);
    delayMs *= factor;
  }
}

function checkDelay(name: string, delayMs: number): number {
  if (!(delayMs >= 0 && delayMs <= MAX_DELAY_MS))
    throw invalidOption(name, delayMs, `from 0 to ${MAX_DELAY_MS}`);
  return delayMs;
}

function exhausted(attempts: number, cause: unknown): SunstarError {
  return new SunstarError(
    'SUNSTAR_RETRIES_EXHAUSTED',
    `All ${attempts} attempts failed; the cause is the last error. Mend that, or allow more \`maxAttempts\`.`,
    { cause },
  );
}
