import type { Metrics } from '@sunstar/runtime';
import type { CommandContext } from '../commands/context.js';
import { shardCounters } from '../commands/info.js';

/** The lines of INFO that a shard counts are its metrics: `connected_clients` becomes `kv_connected_clients`. */
export function registerMetrics(metrics: Metrics, context: CommandContext): void {
  for (const { name, section } of shardCounters(context)) {
    // What CONFIG RESETSTAT sets back begins anew, which Prometheus expects of counters.
    const isCounter = section === 'stats';
    metrics[isCounter ? 'counter' : 'gauge']({
      name: isCounter ? `kv_${name.replace(/^total_/, '')}_total` : `kv_${name}`,
      help: `${name} of the section ${section} of INFO.`,
      read: () => shardCounters(context).find((line) => line.name === name)?.value ?? 0,
    });
  }
}
