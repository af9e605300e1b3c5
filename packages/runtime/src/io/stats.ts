import type { IoClass } from './io-class.js';
import type { LatencyStats } from './learned-latency.js';

/** One scheduling group at one device, on one shard; counters only grow. */
export interface IoGroupStats {
  readonly groupId: number;
  readonly group: string;
  readonly inFlight: number;
  readonly queued: number;
  /** Requests that the device was given. */
  readonly operations: number;
  readonly bytes: number;
  /** Requests that had to wait for their turn, and how long in all. */
  readonly waited: number;
  readonly waitedMs: number;
  /** Requests that were refused because the queue was full. */
  readonly refused: number;
  /** Requests that were cancelled while they waited. */
  readonly cancelled: number;
  /** How often the bandwidth cap held it back. */
  readonly throttled: number;
}

/** A device as one shard sees it. */
export interface IoQueueStats {
  /** Its number, `major:minor`. */
  readonly device: string;
  readonly inFlight: number;
  readonly queued: number;
  /** What is in flight, in bytes of sequential transfer, see `IoCosts`. */
  readonly inFlightBytes: number;
  /** What may be in flight; Infinity while a single group uses the device. */
  readonly depthLimitBytes: number;
  readonly isLimited: boolean;
  /** Operations that were refused because of their deadline, and those that were let through to find out. */
  readonly refusedDeadlines: number;
  readonly probes: number;
  readonly groups: readonly IoGroupStats[];
  readonly latencies: readonly LatencyStats[];
}

/** Puts a snapshot together. */
export function queueStats(
  device: string,
  classes: readonly IoClass[],
  latencies: readonly LatencyStats[],
  counters: Omit<IoQueueStats, 'device' | 'groups' | 'latencies'>,
): IoQueueStats {
  const groups = classes.map((one) => ({
    groupId: one.group.id,
    group: one.group.name,
    inFlight: one.inFlight,
    queued: one.waiting.size,
    operations: one.started,
    bytes: one.startedBytes,
    waited: one.queuedTotal,
    waitedMs: one.queuedTotalMs,
    refused: one.refused,
    cancelled: one.cancelled,
    throttled: one.throttled,
  }));
  return { device, ...counters, groups, latencies };
}
