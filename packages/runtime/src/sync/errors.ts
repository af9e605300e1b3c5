import { SunstarError } from '../errors.js';

/** What every wait may end with. */
export function timedOut(what: string, timeoutMs: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_TIMEOUT',
    `${what} was not over within ${timeoutMs} ms. Allow more time, or find out who holds it for so long.`,
  );
}

/** @param reason - The signal's, which becomes the cause. */
export function aborted(what: string, reason: unknown): SunstarError {
  return new SunstarError('SUNSTAR_ABORTED', `${what} was aborted by its AbortSignal; see the cause.`, {
    cause: reason,
  });
}

export function tooManyWaiters(what: string, maxWaiters: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_TOO_MANY_WAITERS',
    `${what}: ${maxWaiters} are waiting already. Refuse work earlier, or raise \`maxWaiters\`.`,
  );
}

export function invalidOption(name: string, value: unknown, range: string): SunstarError {
  return new SunstarError('SUNSTAR_INVALID_OPTION', `\`${name}\` must be ${range}; it is ${String(value)}.`);
}

/** A call that does not fit the state: a bug of the caller. */
export function misuse(message: string): SunstarError {
  return new SunstarError('SUNSTAR_SYNC_MISUSE', message);
}

export function broken(code: string, what: string, cause: unknown): SunstarError {
  return new SunstarError(code, `${what} was broken off; the cause says by what. Make a new one.`, {
    cause,
  });
}

/** Throws `SUNSTAR_INVALID_OPTION` unless `value` is a whole number in the range. */
export function checkInteger(name: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalidOption(name, value, `a whole number from ${min} to ${max}`);
  }
  return value;
}

/** Throws `SUNSTAR_SYNC_INVARIANT` when a structure contradicts itself: a bug in sunstar. */
export function invariant(holds: boolean, what: string): void {
  if (!holds) throw new SunstarError('SUNSTAR_SYNC_INVARIANT', `Broken invariant: ${what}.`);
}
