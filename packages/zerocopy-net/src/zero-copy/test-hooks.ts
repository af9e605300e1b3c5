/**
 * Faults that tests inject into the zero-copy sends of a shard. Not part of the interface: no program should use
 * them, and nothing promises that they stay.
 *
 * @internal
 */
export interface ZeroCopyTestHooks {
  /** Notifications are not looked at, as if they had not come; see {@link resume}. */
  isPaused: boolean;
  /** Memory is let go when a send is accepted, before its notification: the mistake that all this is there to avoid. */
  releasesEarly: boolean;
  /** The descriptor is no socket of this machine's; what it is connected to is not looked at. */
  assumesRemotePeer: boolean;
  /** Added to the numbers of `MSG_ZEROCOPY`, issued and notified, so that they wrap early. */
  sequenceBase: number;
  /** Notifications that came while paused. */
  readonly waiting: (() => void)[];
}

/** No faults. */
export function newZeroCopyTestHooks(): ZeroCopyTestHooks {
  return { isPaused: false, releasesEarly: false, assumesRemotePeer: false, sequenceBase: 0, waiting: [] };
}

/** Ends {@link ZeroCopyTestHooks.isPaused} and handles what came meanwhile, in order. */
export function resume(hooks: ZeroCopyTestHooks): void {
  hooks.isPaused = false;
  for (const notification of hooks.waiting.splice(0)) notification();
}
