import { SunstarError } from '../errors.js';
import { type LatencyOptions, LatencyRecorder } from './latency-recorder.js';
import type {
  Labels,
  MetricFamily,
  MetricOptions,
  MetricSample,
  MetricSource,
  ReadMetric,
} from './metric.js';

/** The most metrics and sources of a shard. */
const MAX_METRICS = 4096;
/** The most samples of one metric. */
const MAX_SAMPLES = 4096;

const NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Latencies that {@link Metrics.latency} exports. */
export interface LatencyMetricOptions extends LatencyOptions {
  /** In seconds by the convention of Prometheus: `kv_command_seconds`. */
  readonly name: string;
  /** One sentence for people. */
  readonly help: string;
  /** Labels of this recorder; several recorders share a name with different labels. */
  readonly labels?: Labels;
}

interface Registered {
  readonly help: string;
  readonly type: MetricFamily['type'];
  readonly reads: ReadMetric[];
}

/**
 * The metrics of one shard. Nothing is computed or stored until somebody asks: a metric is a function that reads
 * counters which exist anyway. Every sample gets the label `shard`.
 *
 * Belongs to its shard's thread.
 */
export class Metrics {
  readonly #labels: Labels;
  readonly #metrics = new Map<string, Registered>();
  readonly #sources: MetricSource[] = [];
  readonly #onError: (name: string, error: unknown) => void;
  #count = 0;
  #dropped = 0;

  /** @param onError - Told when reading a metric throws; that metric is left out. */
  constructor(labels: Labels, onError: (name: string, error: unknown) => void) {
    this.#labels = labels;
    this.#onError = onError;
    this.counter({
      name: 'sunstar_metrics_dropped_samples_total',
      help: `Samples left out because their metric had more than ${MAX_SAMPLES}.`,
      read: () => this.#dropped,
    });
  }

  /** Whether no metric can be added any more. */
  get isFull(): boolean {
    return this.#count >= MAX_METRICS;
  }

  /**
   * A number that only grows, since the start of the shard.
   *
   * @throws SunstarError `SUNSTAR_INVALID_METRIC`, `SUNSTAR_METRIC_EXISTS`, `SUNSTAR_TOO_MANY_METRICS`
   */
  counter(options: MetricOptions): void {
    this.#add(options.name, options.help, 'counter', options.read);
  }

  /**
   * A number that goes up and down.
   *
   * @throws SunstarError as {@link counter}
   */
  gauge(options: MetricOptions): void {
    this.#add(options.name, options.help, 'gauge', options.read);
  }

  /**
   * A histogram of latencies, and the recorder to feed it with.
   *
   * @throws SunstarError as {@link counter}
   */
  latency(options: LatencyMetricOptions): LatencyRecorder {
    const recorder = new LatencyRecorder(options);
    const { name, help, labels = {} } = options;
    const read = (): readonly MetricSample[] => histogramSamples(name, labels, recorder);
    const existing = this.#metrics.get(name);
    if (existing?.type === 'histogram') {
      this.#checkRoom();
      existing.reads.push(read);
    } else this.#add(name, help, 'histogram', read);
    return recorder;
  }

  /**
   * Includes metrics of another library, such as a `Registry` of prom-client with counters of your own.
   *
   * @throws SunstarError `SUNSTAR_TOO_MANY_METRICS`
   */
  addSource(source: MetricSource): void {
    this.#checkRoom();
    this.#sources.push(source);
  }

  /** Everything as it is now. */
  async collect(): Promise<MetricFamily[]> {
    const families: MetricFamily[] = [];
    for (const [name, metric] of this.#metrics) {
      try {
        families.push(this.#read(name, metric));
      } catch (error) {
        this.#onError(name, error);
      }
    }
    for (const source of this.#sources) {
      try {
        for (const family of (await source.getMetricsAsJSON()) as readonly MetricFamily[]) {
          families.push({ ...family, values: this.#label(family.values) });
        }
      } catch (error) {
        this.#onError('of a source', error);
      }
    }
    return families;
  }

  #read(name: string, { help, type, reads }: Registered): MetricFamily {
    const values: MetricSample[] = [];
    for (const read of reads) {
      const result = read();
      if (typeof result === 'number') values.push({ value: result, labels: {} });
      else values.push(...result.slice(0, MAX_SAMPLES));
    }
    return { name, help, type, aggregator: 'sum', values: this.#label(values) };
  }

  #label(values: readonly MetricSample[]): MetricSample[] {
    if (values.length > MAX_SAMPLES) this.#dropped += values.length - MAX_SAMPLES;
    return values
      .slice(0, MAX_SAMPLES)
      .map((sample) => ({ ...sample, labels: { ...sample.labels, ...this.#labels } }));
  }

  #add(name: string, help: string, type: MetricFamily['type'], read: ReadMetric): void {
    if (!NAME.test(name)) {
      throw new SunstarError(
        'SUNSTAR_INVALID_METRIC',
        `"${name}" is no name of a metric: give letters, digits and _, not beginning with a digit.`,
      );
    }
    if (this.#metrics.has(name)) {
      throw new SunstarError(
        'SUNSTAR_METRIC_EXISTS',
        `There is a metric "${name}" already. Give one function that returns the samples of all labels.`,
      );
    }
    this.#checkRoom();
    this.#metrics.set(name, { help, type, reads: [read] });
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    let reads = this.#sources.length;
    for (const metric of this.#metrics.values()) reads += metric.reads.length;
    if (reads === Math.min(this.#count, MAX_METRICS)) return;
    throw new SunstarError(
      'SUNSTAR_BROKEN_INVARIANT',
      `${reads} metrics are read, but ${this.#count} registered.`,
    );
  }

  #checkRoom(): void {
    if (this.#count++ < MAX_METRICS) return;
    throw new SunstarError(
      'SUNSTAR_TOO_MANY_METRICS',
      `This shard has ${MAX_METRICS} metrics, which is the limit. Use labels to tell apart what is of one kind.`,
    );
  }
}

function histogramSamples(name: string, labels: Labels, recorder: LatencyRecorder): MetricSample[] {
  const { boundsMs, counts } = recorder.cumulative();
  const all = counts[counts.length - 1];
  const samples: MetricSample[] = boundsMs.map((boundMs, i) => ({
    value: counts[i],
    labels: { ...labels, le: boundMs / 1000 },
    metricName: `${name}_bucket`,
  }));
  samples.push({ value: all, labels: { ...labels, le: '+Inf' }, metricName: `${name}_bucket` });
  samples.push({ value: recorder.sumMs / 1000, labels: { ...labels }, metricName: `${name}_sum` });
  samples.push({ value: all, labels: { ...labels }, metricName: `${name}_count` });
  return samples;
}
