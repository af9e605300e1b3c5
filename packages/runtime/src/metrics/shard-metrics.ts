import type { IoQueueStats, IoScheduler } from '../io/index.js';
import type { ShardMemory } from '../memory/index.js';
import type { Reactor } from '../reactor/index.js';
import type { GroupSnapshot, ShardGroups } from '../scheduling/index.js';
import { threadGroups } from '../scheduling/thread-scheduler.js';
import type { Mesh, MeshGroupStats } from '../smp/index.js';
import { type GroupWaits, threadWaits } from '../sync/wait-stats.js';
import type { Labels, MetricSample, ReadMetric } from './metric.js';
import type { Metrics } from './metrics.js';

/** What a shard is made of, as far as its metrics go. */
export interface MeasuredShard {
  readonly reactor: Reactor;
  readonly memory: ShardMemory;
  readonly io: IoScheduler;
  readonly groups: ShardGroups;
  readonly mesh: Mesh;
}

type Line = readonly [type: 'counter' | 'gauge', name: string, help: string, read: ReadMetric];

function register(metrics: Metrics, lines: readonly Line[]): void {
  for (const [type, name, help, read] of lines) metrics[type]({ name, help, read });
}

/** Registers the metrics of a shard's own parts. */
export function registerShardMetrics(metrics: Metrics, shard: MeasuredShard): void {
  reactorMetrics(metrics, shard.reactor);
  memoryMetrics(metrics, shard.memory);
  meshMetrics(metrics, shard.mesh, shard.groups);
  ioMetrics(metrics, shard.io);
  groupMetrics(metrics, shard.groups);
  syncMetrics(metrics);
}

function reactorMetrics(metrics: Metrics, reactor: Reactor): void {
  const born = process.hrtime();
  const uptime = (): number => {
    const [seconds, nanoseconds] = process.hrtime(born);
    return seconds + nanoseconds / 1e9;
  };
  register(metrics, [
    [
      'gauge',
      'sunstar_reactor_backend',
      'Who serves the ring: 1 for the backend of this name.',
      () => [{ value: 1, labels: { backend: reactor.backend } }],
    ],
    ['counter', 'sunstar_reactor_uptime_seconds_total', 'Time since the shard was made.', uptime],
    [
      'counter',
      'sunstar_reactor_idle_seconds_total',
      'Time that the shard slept, or polled because it had nothing to do.',
      () => reactor.stats.idleMs / 1000,
    ],
    ['counter', 'sunstar_reactor_ticks_total', 'Runs of the tick.', () => reactor.stats.ticks],
    ['counter', 'sunstar_reactor_sleeps_total', 'Sleeps in the kernel.', () => reactor.stats.sleeps],
    ['counter', 'sunstar_reactor_enters_total', 'Times the ring was entered.', () => reactor.stats.enters],
    ['counter', 'sunstar_reactor_wakeups_total', 'Wakings by other shards.', () => reactor.stats.wakeUps],
    [
      'counter',
      'sunstar_reactor_operations_total',
      'Operations given to the ring.',
      () => reactor.stats.submitted,
    ],
    [
      'gauge',
      'sunstar_reactor_operations_in_flight',
      'Operations that are in flight.',
      () => reactor.stats.inFlight,
    ],
  ]);
}

/** What several metrics of one collection read, computed for the first of them. */
function once<T>(read: () => T): () => T {
  let value: { readonly read: T } | undefined;
  return () => {
    if (value === undefined) {
      value = { read: read() };
      // A collection reads all metrics of a shard in one go.
      queueMicrotask(() => {
        value = undefined;
      });
    }
    return value.read;
  };
}

function memoryMetrics(metrics: Metrics, memory: ShardMemory): void {
  const stats = once(() => memory.stats());
  const groups =
    (pick: (group: (typeof memory.groups)[number]['stats']) => number): ReadMetric =>
    () =>
      memory.groups.map(({ stats }) => ({ value: pick(stats), labels: { group: stats.name } }));
  register(metrics, [
    ['gauge', 'sunstar_memory_total_bytes', 'Size of the arena.', () => stats().totalBytes],
    ['gauge', 'sunstar_memory_used_bytes', 'Bytes of live blocks.', () => stats().usedBytes],
    ['gauge', 'sunstar_memory_free_bytes', 'Bytes that can be given out.', () => stats().freeBytes],
    [
      'gauge',
      'sunstar_memory_pooled_bytes',
      'The part of the free bytes that waits in pools.',
      () => stats().cachedBytes,
    ],
    [
      'gauge',
      'sunstar_memory_largest_free_block_bytes',
      'The largest block that is free.',
      () => stats().largestFreeBlockBytes,
    ],
    ['gauge', 'sunstar_memory_live_blocks', 'Live blocks.', () => stats().liveBlocks],
    ['counter', 'sunstar_memory_allocations_total', 'Allocations.', () => stats().allocations],
    [
      'counter',
      'sunstar_memory_failed_allocations_total',
      'Allocations that found no memory, or the limit of their group.',
      () => stats().failedAllocations,
    ],
    [
      'counter',
      'sunstar_memory_reclaims_total',
      'Times that reclaimers were asked, by an allocation or in the background.',
      () => stats().reclaims + stats().backgroundReclaims,
    ],
    [
      'gauge',
      'sunstar_memory_lent_blocks',
      'Blocks of this shard that others hold.',
      () => stats().lentBlocks,
    ],
    [
      'gauge',
      'sunstar_memory_group_used_bytes',
      'Bytes in use, by memory group.',
      groups(({ usedBytes }) => usedBytes),
    ],
    [
      'gauge',
      'sunstar_memory_group_limit_bytes',
      'Limit of a memory group.',
      groups(({ limitBytes }) => limitBytes),
    ],
    [
      'counter',
      'sunstar_memory_group_failed_allocations_total',
      'Failed allocations, by memory group.',
      groups(({ failedAllocations }) => failedAllocations),
    ],
  ]);
}

function meshMetrics(metrics: Metrics, mesh: Mesh, shardGroups: ShardGroups): void {
  const byGroup = once(() =>
    shardGroups.all.map(({ id, name }) => ({ labels: { group: name }, stats: mesh.statsOf(id) })),
  );
  const groups =
    (pick: keyof MeshGroupStats): ReadMetric =>
    () =>
      byGroup().map(({ labels, stats }) => ({ value: stats[pick], labels }));
  register(metrics, [
    ['counter', 'sunstar_smp_sent_total', 'Calls and messages sent to other shards.', groups('sent')],
    ['counter', 'sunstar_smp_served_total', 'Calls and messages of others run here.', groups('served')],
    ['gauge', 'sunstar_smp_outstanding_calls', 'Calls that wait for an answer.', groups('outstanding')],
    [
      'gauge',
      'sunstar_smp_queued_messages',
      'Messages that wait for room in a ring.',
      () => mesh.stats.queued,
    ],
    [
      'counter',
      'sunstar_smp_overflowed_messages_total',
      'Messages that found their ring full.',
      () => mesh.stats.overflowed,
    ],
    [
      'gauge',
      'sunstar_smp_given_up_calls',
      'Calls that were given up and whose late answer has not come yet.',
      () => mesh.stats.givenUp,
    ],
    [
      'gauge',
      'sunstar_smp_service_latency_seconds',
      'Smoothed time from the begin of a method to its answer, by service.',
      () =>
        mesh
          .serviceLatencies()
          .filter(({ latencyUs }) => !Number.isNaN(latencyUs))
          .map(({ service, latencyUs }) => ({ value: latencyUs / 1e6, labels: { service } })),
    ],
    ['counter', 'sunstar_smp_wakeups_total', 'Times that this shard woke another.', () => mesh.stats.wakeUps],
  ]);
}

function ioMetrics(metrics: Metrics, io: IoScheduler): void {
  const devices =
    (pick: (queue: IoQueueStats) => number): ReadMetric =>
    () =>
      io.stats().map((queue) => ({ value: pick(queue), labels: { device: queue.device } }));
  const groups =
    (pick: (group: IoQueueStats['groups'][number]) => number): ReadMetric =>
    () =>
      io.stats().flatMap(({ device, groups }) =>
        groups.map((group): MetricSample => {
          const labels: Labels = { device, group: group.group };
          return { value: pick(group), labels };
        }),
      );
  register(metrics, [
    ['gauge', 'sunstar_io_in_flight', 'Disk requests that the device has.', devices((q) => q.inFlight)],
    ['gauge', 'sunstar_io_queued', 'Disk requests that wait for their turn.', groups((g) => g.queued)],
    ['counter', 'sunstar_io_operations_total', 'Disk requests started.', groups((g) => g.operations)],
    ['counter', 'sunstar_io_bytes_total', 'Bytes of disk requests started.', groups((g) => g.bytes)],
    [
      'counter',
      'sunstar_io_wait_seconds_total',
      'Time that disk requests waited for their turn.',
      groups((g) => g.waitedMs / 1000),
    ],
    ['counter', 'sunstar_io_throttled_total', 'Holds by a bandwidth cap.', groups((g) => g.throttled)],
    ['counter', 'sunstar_io_refused_total', 'Disk requests refused: queue full.', groups((g) => g.refused)],
  ]);
}

function syncMetrics(metrics: Metrics): void {
  const waits =
    (pick: (waits: GroupWaits) => number, reason?: string): (() => MetricSample[]) =>
    () =>
      threadWaits().flatMap(({ kind, name, groups }) =>
        groups.map((one): MetricSample => {
          const group = (threadGroups.byId(one.groupId) ?? threadGroups.default).name;
          return {
            value: pick(one),
            labels: { kind, name, group, ...(reason === undefined ? {} : { reason }) },
          };
        }),
      );
  const failures = [
    waits(({ timedOut }) => timedOut, 'timeout'),
    waits(({ aborted }) => aborted, 'aborted'),
    waits(({ refused }) => refused, 'refused'),
    waits(({ rejected }) => rejected, 'rejected'),
  ];
  register(metrics, [
    [
      'gauge',
      'sunstar_sync_waiting',
      'Waits for locks, queues and so on that go on.',
      waits((w) => w.waiting),
    ],
    ['counter', 'sunstar_sync_waits_total', 'Waits for locks, queues and so on.', waits((w) => w.begun)],
    [
      'counter',
      'sunstar_sync_wait_seconds_total',
      'Time of waits that have ended, to the turn.',
      waits((w) => w.waitedMs / 1000),
    ],
    [
      'counter',
      'sunstar_sync_failed_waits_total',
      'Waits that ended with an error, by reason.',
      () => failures.flatMap((read) => read().filter(({ value }) => value > 0)),
    ],
  ]);
}

function groupMetrics(metrics: Metrics, shardGroups: ShardGroups): void {
  const groups =
    (pick: (group: GroupSnapshot) => number): ReadMetric =>
    () =>
      shardGroups.stats().map((group) => ({ value: pick(group), labels: { group: group.name } }));
  register(metrics, [
    ['gauge', 'sunstar_group_shares', 'Shares of a scheduling group.', groups((g) => g.shares)],
    ['gauge', 'sunstar_group_queue_length', 'Completions and tasks that wait.', groups((g) => g.queueLength)],
    ['counter', 'sunstar_group_turns_total', 'Turns of a scheduling group.', groups((g) => g.turns)],
    ['counter', 'sunstar_group_items_total', 'Completions and tasks run.', groups((g) => g.items)],
    ['counter', 'sunstar_group_run_seconds_total', 'CPU time of its turns.', groups((g) => g.runMs / 1000)],
    [
      'counter',
      'sunstar_group_wait_seconds_total',
      'Time in which it had work and another group ran.',
      groups((g) => g.waitMs / 1000),
    ],
  ]);
}
