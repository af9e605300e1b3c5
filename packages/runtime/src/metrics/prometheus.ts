import type { MetricFamily } from './metric.js';

/** What {@link prometheusText} returns is of this type. */
export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Joins the metrics of shards, and writes them in the text format of Prometheus.
 *
 * @param parts - What each shard collected; samples with equal labels are added up.
 */
export async function prometheusText(parts: readonly (readonly MetricFamily[])[]): Promise<string> {
  // Loaded when somebody asks: a shard does not need it.
  const { AggregatorRegistry } = await import('prom-client');
  return AggregatorRegistry.aggregate(parts as object[]).metrics();
}
