import { SunstarError } from '@sunstar/runtime';

/** Nothing that may go is left, and a dirty object needs room. */
export function cacheFullError(name: string, sizeBytes: number, limitBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_CACHE_FULL',
    `The cache '${name}' (${limitBytes} bytes) has no room for a dirty object of ${sizeBytes} bytes: what it holds is ` +
      'pinned, dirty, or too much is dirty. Await flush(), release pins, or raise `limit` and `maxDirty`.',
  );
}

/** The cache was closed. */
export function cacheClosedError(name: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_CACHE_CLOSED',
    `The cache '${name}' is closed. Stop its users before close().`,
  );
}

/** Dirty objects would be lost. */
export function cacheDirtyError(name: string, entries: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_CACHE_DIRTY',
    `The cache '${name}' still has ${entries} dirty objects. Await flush() or close(), or discard them with invalidate().`,
  );
}

/** What to pin is not there. */
export function notCachedError(name: string, path: string, offset: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_NOT_CACHED',
    `The cache '${name}' has no object of '${path}' at ${offset}. Load or put it before you pin it.`,
  );
}
