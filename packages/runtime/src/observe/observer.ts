import type { Logger } from '../log.js';
import { type MetricFamily, Metrics } from '../metrics/index.js';
import { prometheusText } from '../metrics/prometheus.js';
import { type InspectAnswer, InspectServer } from './inspect-server.js';
import { MetricsServer } from './metrics-server.js';
import type { ResolvedObserveOptions } from './options.js';
import { MetricSnapshot, overview } from './overview.js';
import { overviewTable } from './overview-table.js';
import { StallReporter } from './stall-reporter.js';
import { watchStalls } from './stall-watch.js';

/** How long a shard may take to tell its metrics; one that stalls is left out. */
const COLLECT_TIMEOUT_MS = 1000;

/** A shard as the observer sees it. */
export interface ObservedShard {
  readonly shardId: number;
  /** What the shard collects; rejects when it takes too long, or has ended. */
  collectMetrics(timeoutMs: number): Promise<readonly MetricFamily[]>;
}

/** What an {@link Observer} stands on. */
export interface ObserverParts {
  readonly shards: readonly ObservedShard[];
  readonly groupName: (groupId: number) => string;
  readonly log: Logger;
  /** What the shards run, for people. */
  readonly entry: string;
  readonly options: ResolvedObserveOptions;
}

/** Looks at the shards of a runtime from its main thread: stalls, metrics, who may see them. */
export class Observer {
  readonly #parts: ObserverParts;
  readonly #metrics: Metrics;
  readonly #stalls: StallReporter;
  readonly #answered = new Map<number, number>();
  readonly #endWatches: (() => void)[] = [];
  #server: MetricsServer | undefined;
  #inspect: InspectServer | undefined;

  constructor(parts: ObserverParts) {
    this.#parts = parts;
    this.#metrics = new Metrics({}, (name, error) =>
      parts.log.error({ err: error, metric: name }, 'a metric could not be read'),
    );
    const { groupName, log, options } = parts;
    this.#stalls = new StallReporter({
      logOf: (shard) => log.child({ shard }),
      metrics: this.#metrics,
      groupName,
      onStall: options.onStall,
    });
    this.#metrics.gauge({
      name: 'sunstar_shard_up',
      help: '1 when the shard told its metrics in time.',
      read: () => Array.from(this.#answered, ([shard, value]) => ({ value, labels: { shard } })),
    });
    this.#metrics.gauge({
      name: 'process_resident_memory_bytes',
      help: 'Resident memory of the process.',
      read: () => process.memoryUsage.rss(),
    });
    this.#metrics.counter({
      name: 'process_cpu_seconds_total',
      help: 'CPU time of the process.',
      read: () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1e6;
      },
    });
  }

  /** Serves what the options ask for. @throws SunstarError `SUNSTAR_METRICS_UNAVAILABLE` */
  async start(): Promise<void> {
    const { metrics, inspect } = this.#parts.options;
    if (inspect) this.#inspect = await InspectServer.listen(() => this.#answer(), this.#parts.log);
    if (metrics !== undefined) this.#server = await MetricsServer.listen(metrics, () => this.text());
  }

  stop(): void {
    this.#server?.close();
    this.#inspect?.close();
    for (const end of this.#endWatches.splice(0)) end();
  }

  /** Where the metrics are served; undefined when they are not. */
  get metricsPort(): number | undefined {
    return this.#server?.port;
  }

  /** Begins to watch a shard for stalls. */
  watch(shardId: number, ringFd: number): void {
    this.#endWatches.push(watchStalls(ringFd, (event) => this.#stalls.report(shardId, event)));
  }

  /** The metrics of the main thread, then those of each shard that answers in time. */
  async collect(): Promise<(readonly MetricFamily[])[]> {
    const answers = await Promise.allSettled(
      this.#parts.shards.map((shard) => shard.collectMetrics(COLLECT_TIMEOUT_MS)),
    );
    for (const [i, { status }] of answers.entries()) {
      this.#answered.set(this.#parts.shards[i].shardId, status === 'fulfilled' ? 1 : 0);
    }
    const told = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
    return [await this.#metrics.collect(), ...told];
  }

  /** The metrics in the text format of Prometheus. */
  async text(): Promise<string> {
    return prometheusText(await this.collect());
  }

  /** Tables for people: what the shards have done since they started. */
  async report(): Promise<string> {
    return overviewTable(overview(new MetricSnapshot(await this.collect())));
  }

  async #answer(): Promise<InspectAnswer> {
    return { pid: process.pid, entry: this.#parts.entry, metrics: await this.collect() };
  }
}
