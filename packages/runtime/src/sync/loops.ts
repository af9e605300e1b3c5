import { isThenable } from './ready.js';

/** Rounds between looks at the clock. */
const ROUNDS_PER_LOOK = 64;
/** After Seastar's task quota of 0.5 ms. */
const QUOTA_MS = 0.5;

/**
 * Calls `action` until it says `'stop'`. Rounds that need no waiting follow each other at once; after half a
 * millisecond of them the event loop has its turn.
 *
 * @returns Rejects with what `action` throws.
 */
export async function repeat(
  action: () => 'stop' | 'continue' | PromiseLike<'stop' | 'continue'>,
): Promise<void> {
  let startedMs = performance.now();
  for (let round = 1; ; round++) {
    const answer = action();
    if ((isThenable(answer) ? await answer : answer) === 'stop') return;
    // Awaiting what is ready keeps the event loop waiting, too: so every round counts.
    if (round % ROUNDS_PER_LOOK === 0 && performance.now() - startedMs >= QUOTA_MS) {
      await new Promise(setImmediate);
      startedMs = performance.now();
    }
  }
}

/** Calls `action` as long as `isDone()` is false, which is asked before each round; see {@link repeat}. */
export function doUntil(isDone: () => boolean, action: () => void | PromiseLike<void>): Promise<void> {
  return repeat(() => {
    if (isDone()) return 'stop';
    const result = action();
    return isThenable(result) ? result.then(carryOn) : 'continue';
  });
}

function carryOn(): 'continue' {
  return 'continue';
}
