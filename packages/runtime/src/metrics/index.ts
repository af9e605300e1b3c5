export { type LatencyOptions, LatencyRecorder } from './latency-recorder.js';
export type {
  Labels,
  MetricFamily,
  MetricOptions,
  MetricSample,
  MetricSource,
  ReadMetric,
} from './metric.js';
export { type LatencyMetricOptions, Metrics } from './metrics.js';
export { prometheusText } from './prometheus.js';
