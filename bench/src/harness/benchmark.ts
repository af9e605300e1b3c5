/** What one measurement gave: one number for each metric of its case, in order; a bare number for a single metric. */
export type Measurement = number | readonly number[];

/** One thing that is measured, and so one row for each peer. */
export interface Metric {
  /** What the row is called: names the work, not the program that does it. */
  readonly case: string;
  /** Such as `ns/op`, `calls/s`, `µs`. */
  readonly unit: string;
  /** Whether a larger number is the better one: true for rates, false for times. */
  readonly higherIsBetter: boolean;
}

/** Something that does the same job as sunstar, measured beside it in every round. */
export interface Peer {
  /** Name and, where it matters, how it is configured. */
  readonly peer: string;
  measure(): Promise<Measurement>;
}

/** Work that sunstar and its peers do in turns. */
export interface BenchmarkCase {
  /** What every measurement of this case gives, in this order. */
  readonly metrics: readonly Metric[];
  /** Measures sunstar once a round; all peers of the case are compared with that one measurement. */
  ours(): Promise<Measurement>;
  readonly peers: readonly Peer[];
  /** Runs before the first round of this case. */
  setup?(): Promise<void>;
  /** Runs after the last round of this case, also when a measurement failed. */
  teardown?(): Promise<void>;
  /** Rounds that are run first and not counted, for compilers and caches to warm up. @default 1 */
  readonly warmupRounds?: number;
}

/** A benchmark that is ready to be measured. */
export interface PreparedBenchmark {
  readonly cases: readonly BenchmarkCase[];
  /** Runs after the last case, also when one failed. */
  teardown?(): Promise<void>;
}

/** The default export of every `bench/src/NAME.ts`: its file name is the name of the benchmark. */
export interface Benchmark {
  /** One line, shown in the list of benchmarks. */
  readonly description: string;
  /** Starts what all cases need. Runs in a process that measures nothing else. */
  prepare(): Promise<PreparedBenchmark>;
}
