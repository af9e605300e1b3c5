import { SunstarError } from '../errors.js';

/**
 * Does something with all shards within a time.
 *
 * @throws SunstarError SUNSTAR_START_TIMEOUT, SUNSTAR_STOP_TIMEOUT
 */
export async function within(
  timeoutMs: number,
  what: 'start' | 'stop',
  work: () => Promise<void>,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new SunstarError(
          `SUNSTAR_${what.toUpperCase()}_TIMEOUT`,
          `The shards did not ${what} within ${timeoutMs} ms. Look for work that never ends, or raise ${what}TimeoutMs.`,
        ),
      );
    }, timeoutMs);
  });
  try {
    await Promise.race([work(), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
