import type { MetricSample, Metrics } from '../metrics/index.js';
import { type OffloadStats, OffloadStatsTable } from './offload-stats.js';

const HELP = {
  wait: 'Time from the arrival of an offloaded call at the pool until a thread began it.',
  run: 'Time that a thread of the pool had an offloaded call.',
} as const;

/** Registers the metrics of a shard's offloaded calls, and gives the counters to feed them with. */
export function registerOffloadMetrics(metrics: Metrics): OffloadStatsTable {
  const table = new OffloadStatsTable((what, group, limit) =>
    metrics.latency({ name: `sunstar_offload_${what}_seconds`, help: HELP[what], labels: { group, limit } }),
  );
  const read = (samples: (stats: OffloadStats) => MetricSample[]): (() => MetricSample[]) => {
    return () => table.all.flatMap(samples);
  };
  metrics.gauge({
    name: 'sunstar_offload_outstanding',
    help: 'Offloaded calls that have not ended.',
    read: read(({ group, limit, outstanding }) => [{ value: outstanding, labels: { group, limit } }]),
  });
  metrics.counter({
    name: 'sunstar_offload_calls_total',
    help: 'Offloaded calls that have ended, by how: refused are those for which the queue had no room.',
    read: read(({ group, limit, ended }) =>
      Object.entries(ended).map(([end, value]) => ({ value, labels: { group, limit, end } })),
    ),
  });
  return table;
}
