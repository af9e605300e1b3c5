import { currentNetwork } from './network.js';
import { newZeroCopyTestHooks, type ZeroCopyTestHooks } from './zero-copy/test-hooks.js';

export { resume, type ZeroCopyTestHooks } from './zero-copy/test-hooks.js';

/**
 * The faults that can be injected into the zero-copy sends of the current shard. For tests of this package, and of
 * programs that want to see what happens when notifications stay away.
 */
export function zeroCopyTestHooks(): ZeroCopyTestHooks {
  const { zeroCopy } = currentNetwork();
  zeroCopy.hooks ??= newZeroCopyTestHooks();
  return zeroCopy.hooks;
}

/** Throws when the network of the current shard contradicts itself. */
export function checkNetwork(): void {
  currentNetwork().invariants();
}
