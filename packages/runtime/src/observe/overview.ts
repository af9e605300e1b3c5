import type { MetricFamily } from '../metrics/index.js';

/** One shard over an interval; rates are per second. */
export interface ShardOverview {
  readonly shard: number;
  /** Part of the time in which it had something to do, 0 to 1. */
  readonly utilisation: number;
  readonly ticksPerSecond: number;
  readonly operationsPerSecond: number;
  readonly operationsInFlight: number;
  readonly callsSentPerSecond: number;
  readonly callsServedPerSecond: number;
  readonly callsOutstanding: number;
  /** Messages that wait for room, completions and tasks that wait for their turn. */
  readonly queued: number;
  readonly memoryUsedBytes: number;
  readonly memoryTotalBytes: number;
  readonly diskBytesPerSecond: number;
  readonly diskQueued: number;
  readonly networkBytesPerSecond: number;
  readonly connections: number;
  readonly stalls: number;
}

/** One scheduling group of one shard over an interval. */
export interface GroupOverview {
  readonly shard: number;
  readonly group: string;
  readonly shares: number;
  /** Part of the CPU, 0 to 1; measured from when there are two groups. */
  readonly cpu: number;
  readonly turnsPerSecond: number;
  readonly queued: number;
  readonly diskBytesPerSecond: number;
  readonly diskQueued: number;
}

/** What `sunstar top` shows. */
export interface Overview {
  readonly shards: readonly ShardOverview[];
  /** Shards that did not answer: they stall, or have ended. */
  readonly silent: readonly number[];
  readonly groups: readonly GroupOverview[];
}

/** The metrics of a moment, by name, then by shard and group. */
export class MetricSnapshot {
  readonly #sums = new Map<string, number>();
  readonly #shards = new Set<number>();
  readonly #groups = new Map<number, Set<string>>();

  constructor(parts: readonly (readonly MetricFamily[])[]) {
    for (const { name, values } of parts.flat()) {
      for (const { value, labels, metricName } of values) {
        if (typeof value !== 'number') continue;
        const shard = labels.shard === undefined ? -1 : Number(labels.shard);
        const group = String(labels.group ?? '');
        this.#add(`${metricName ?? name} ${shard}`, value);
        if (group !== '') this.#add(`${metricName ?? name} ${shard} ${group}`, value);
        if (name === 'sunstar_shard_up') this.#shards.add(shard);
        if (name === 'sunstar_group_shares') {
          const groups = this.#groups.get(shard) ?? new Set();
          this.#groups.set(shard, groups.add(group));
        }
      }
    }
  }

  /** All shards that there are, those that do not answer included. */
  get shards(): readonly number[] {
    return [...this.#shards].sort((a, b) => a - b);
  }

  groupsOf(shard: number): readonly string[] {
    return [...(this.#groups.get(shard) ?? [])];
  }

  /** The sum over all labels but these; 0 for what is unknown. */
  sum(name: string, shard: number, group?: string): number {
    return this.#sums.get(group === undefined ? `${name} ${shard}` : `${name} ${shard} ${group}`) ?? 0;
  }

  #add(key: string, value: number): void {
    this.#sums.set(key, (this.#sums.get(key) ?? 0) + value);
  }
}

const NOTHING = new MetricSnapshot([]);

/**
 * What happened between two moments.
 *
 * @param before - Without it, since the shards started.
 */
export function overview(now: MetricSnapshot, before: MetricSnapshot = NOTHING): Overview {
  const up = now.shards.filter((shard) => now.sum('sunstar_shard_up', shard) === 1);
  return {
    shards: up.map((shard) => shardOverview(now, before, shard)),
    silent: now.shards.filter((shard) => !up.includes(shard)),
    groups: up.flatMap((shard) =>
      now.groupsOf(shard).map((group) => groupOverview(now, before, shard, group)),
    ),
  };
}

function grown(now: MetricSnapshot, before: MetricSnapshot, shard: number, group?: string) {
  return (name: string): number => {
    const growth = now.sum(name, shard, group) - before.sum(name, shard, group);
    // A shard that was started anew counts from zero.
    return growth < 0 ? now.sum(name, shard, group) : growth;
  };
}

function shardOverview(now: MetricSnapshot, before: MetricSnapshot, shard: number): ShardOverview {
  const growth = grown(now, before, shard);
  const seconds = Math.max(growth('sunstar_reactor_uptime_seconds_total'), 1e-9);
  const rate = (...names: string[]): number => names.reduce((sum, name) => sum + growth(name), 0) / seconds;
  const gauge = (name: string): number => now.sum(name, shard);
  return {
    shard,
    utilisation: Math.min(1, Math.max(0, 1 - rate('sunstar_reactor_idle_seconds_total'))),
    ticksPerSecond: rate('sunstar_reactor_ticks_total'),
    operationsPerSecond: rate('sunstar_reactor_operations_total'),
    operationsInFlight: gauge('sunstar_reactor_operations_in_flight'),
    callsSentPerSecond: rate('sunstar_smp_sent_total'),
    callsServedPerSecond: rate('sunstar_smp_served_total'),
    callsOutstanding: gauge('sunstar_smp_outstanding_calls'),
    queued: gauge('sunstar_smp_queued_messages') + gauge('sunstar_group_queue_length'),
    memoryUsedBytes: gauge('sunstar_memory_used_bytes'),
    memoryTotalBytes: gauge('sunstar_memory_total_bytes'),
    diskBytesPerSecond: rate('sunstar_io_bytes_total'),
    diskQueued: gauge('sunstar_io_queued'),
    networkBytesPerSecond: rate('sunstar_net_received_bytes_total', 'sunstar_net_sent_bytes_total'),
    connections: gauge('sunstar_net_connections'),
    stalls: gauge('sunstar_stall_seconds_count'),
  };
}

function groupOverview(
  now: MetricSnapshot,
  before: MetricSnapshot,
  shard: number,
  group: string,
): GroupOverview {
  const seconds = Math.max(grown(now, before, shard)('sunstar_reactor_uptime_seconds_total'), 1e-9);
  const growth = grown(now, before, shard, group);
  const gauge = (name: string): number => now.sum(name, shard, group);
  return {
    shard,
    group,
    shares: gauge('sunstar_group_shares'),
    cpu: Math.min(1, growth('sunstar_group_run_seconds_total') / seconds),
    turnsPerSecond: growth('sunstar_group_turns_total') / seconds,
    queued: gauge('sunstar_group_queue_length'),
    diskBytesPerSecond: growth('sunstar_io_bytes_total') / seconds,
    diskQueued: gauge('sunstar_io_queued'),
  };
}
