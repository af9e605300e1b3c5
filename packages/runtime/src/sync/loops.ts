import { mustPreempt } from '../scheduling/preempt.js';
import { yieldNow } from '../scheduling/yield.js';
import { isThenable } from './ready.js';

/**
 * Calls `action` until it says `'stop'`. Rounds that need no waiting follow each other at once, until the task quota is
 * used up and others have their turn.
 *
 * @returns Rejects with what `action` throws.
 */
export async function repeat(
  action: () => 'stop' | 'continue' | PromiseLike<'stop' | 'continue'>,
): Promise<void> {
  for (;;) {
    const answer = action();
    if ((isThenable(answer) ? await answer : answer) === 'stop') return;
    // Awaiting what is ready keeps the event loop waiting, too: so every round counts.
    if (mustPreempt()) await yieldNow();
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
