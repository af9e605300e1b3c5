import type { ZeroCopyMechanism } from './options.js';
import { type CopyCounts, newCopyCounts } from './reasons.js';

/** What zero-copy sends of a shard have done. Gauges are named; all others only grow. */
export interface ZeroCopyCounters {
  /** Zero-copy sends that the kernel accepted, in full or in part, or that failed and are notified all the same. */
  sends: number;
  /** Bytes that it accepted. */
  bytes: number;
  /** Sends whose notification has come. */
  notified: number;
  /**
   * Of these, how many the kernel says it copied. Too many with `send_zc`, when sends share a packet; too few with
   * either, when the connection ended before they left.
   */
  copiedByKernel: number;
  /** Times that the kernel had no buffers for a notification, or might not lock memory; the send was copied. */
  outOfBuffers: number;
  /** Notifications of sends that were notified before, or never made. */
  wrongNotifications: number;
  /** Looks at an error queue that found nothing. */
  emptyWakeUps: number;
  /** Gauge: sends whose notification has not come. */
  inFlight: number;
  /** Gauge: bytes of memory that they hold. */
  heldBytes: number;
  /** Gauge: closed connections whose descriptor waits for notifications. */
  draining: number;
  /** Connections that had to wait so. */
  drains: number;
  /** Of these, how many were reset because the peer did not take its bytes in time. */
  forcedDrains: number;
  /** Sends of at least the threshold that were copied, by reason. */
  readonly copied: CopyCounts;
}

/** {@link ZeroCopyCounters}, and how zero-copy sends are made. */
export interface ZeroCopyStats extends Readonly<ZeroCopyCounters> {
  readonly mechanism: ZeroCopyMechanism;
  /** Why this mechanism. */
  readonly mechanismReason: string;
  /** Whether the shard's memory is registered with the kernel. */
  readonly isMemoryRegistered: boolean;
  /** Why, or why not. */
  readonly registrationReason: string;
  /** Bytes of memory that sends may lock on this shard; Infinity without a limit. */
  readonly lockedMemoryLimitBytes: number;
}

export function newZeroCopyCounters(): ZeroCopyCounters {
  return {
    sends: 0,
    bytes: 0,
    notified: 0,
    copiedByKernel: 0,
    outOfBuffers: 0,
    wrongNotifications: 0,
    emptyWakeUps: 0,
    inFlight: 0,
    heldBytes: 0,
    draining: 0,
    drains: 0,
    forcedDrains: 0,
    copied: newCopyCounts(),
  };
}
