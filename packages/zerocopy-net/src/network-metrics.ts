import type { Metrics } from '@sunstar/runtime';
import type { ConnectionStats } from './stats.js';

/** What is measured of a shard's network. */
export interface MeasuredNetwork {
  readonly pool: { readonly free: number; readonly bufferCount: number };
  readonly zeroCopy: {
    stats(): { readonly sends: number; readonly bytes: number; readonly copiedByKernel: number };
  };
  totals(): ConnectionStats;
}

type Line = readonly [name: string, help: string, read: (stats: ConnectionStats) => number];

const COUNTERS: readonly Line[] = [
  ['sunstar_net_accepted_total', 'Connections accepted.', (stats) => stats.accepted],
  ['sunstar_net_refused_total', 'Connections refused at the limit.', (stats) => stats.refused],
  ['sunstar_net_given_total', 'Connections given to other shards.', (stats) => stats.given],
  [
    'sunstar_net_lost_total',
    'Connections lost with the shard that they were given to.',
    (stats) => stats.lost,
  ],
  ['sunstar_net_connected_total', 'Outgoing connections established.', (stats) => stats.connected],
  ['sunstar_net_received_bytes_total', 'Bytes received.', (stats) => stats.bytesIn],
  ['sunstar_net_sent_bytes_total', 'Bytes that the kernel took for sending.', (stats) => stats.bytesOut],
  ['sunstar_net_receives_total', 'Receives that brought data.', (stats) => stats.receives],
  ['sunstar_net_sends_total', 'Sends.', (stats) => stats.sends],
  [
    'sunstar_net_buffers_exhausted_total',
    'Receives that ended because every receive buffer was in use.',
    (stats) => stats.bufferPoolExhausted,
  ],
  ['sunstar_net_errors_total', 'Connections that ended with an error.', (stats) => stats.errors],
  ['sunstar_net_resets_total', 'Connections reset by this side.', (stats) => stats.resets],
  [
    'sunstar_net_limit_closes_total',
    'Connections closed because the peer was silent or read too slowly.',
    ({ outputLimitCloses, idleCloses, halfOpenCloses, firstByteCloses, forcedCloses }) =>
      outputLimitCloses + idleCloses + halfOpenCloses + firstByteCloses + forcedCloses,
  ],
  ['sunstar_net_handler_errors_total', 'Exceptions of handlers.', (stats) => stats.handlerErrors],
];

/** Registers the metrics of a shard's network. */
export function registerNetworkMetrics(metrics: Metrics, network: MeasuredNetwork): void {
  for (const [name, help, read] of COUNTERS) {
    metrics.counter({ name, help, read: () => read(network.totals()) });
  }
  metrics.gauge({
    name: 'sunstar_net_connections',
    help: 'Open connections.',
    read: () => network.totals().open,
  });
  metrics.gauge({
    name: 'sunstar_net_receive_buffers_free',
    help: 'Receive buffers that the kernel may fill.',
    read: () => network.pool.free,
  });
  metrics.gauge({
    name: 'sunstar_net_receive_buffers',
    help: 'Receive buffers.',
    read: () => network.pool.bufferCount,
  });
  metrics.counter({
    name: 'sunstar_net_zero_copy_sends_total',
    help: 'Sends without a copy.',
    read: () => network.zeroCopy.stats().sends,
  });
  metrics.counter({
    name: 'sunstar_net_zero_copy_copied_total',
    help: 'Sends without a copy that the kernel copied after all.',
    read: () => network.zeroCopy.stats().copiedByKernel,
  });
}
