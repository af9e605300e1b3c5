/** Names and values that tell apart the samples of one metric, such as `{ group: 'cache' }`. */
export type Labels = Readonly<Record<string, string | number>>;

/** One value of a metric. */
export interface MetricSample {
  readonly value: number;
  readonly labels: Labels;
  /** For the parts of a histogram: the metric's name with `_bucket`, `_sum` or `_count`. */
  readonly metricName?: string;
}

/**
 * A metric with all its samples, as prom-client's `getMetricsAsJSON()` gives it and its `AggregatorRegistry`
 * takes it: plain data, which crosses threads.
 */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  /** How prom-client joins samples with equal labels. */
  readonly aggregator: 'sum' | 'first' | 'min' | 'max' | 'average' | 'omit';
  readonly values: readonly MetricSample[];
}

/** What a metric says now: one number, or one for each set of labels. */
export type ReadMetric = () => number | readonly MetricSample[];

/** A counter or gauge of {@link Metrics}. */
export interface MetricOptions {
  /** Letters, digits and `_`, as Prometheus has it; with the unit last: `kv_log_bytes_total`. */
  readonly name: string;
  /** One sentence for people. */
  readonly help: string;
  /** Called when somebody asks for the metrics; keep it quick, it runs on the shard. */
  readonly read: ReadMetric;
}

/** Something that has metrics of its own: a `Registry` of prom-client. */
export interface MetricSource {
  /** The metrics as they are now, each a {@link MetricFamily}. */
  getMetricsAsJSON(): Promise<readonly unknown[]> | readonly unknown[];
}
