import { SunstarError } from '../errors.js';
import type { StallReport } from './stall-report.js';

/** Options of the stall detector. */
export interface StallOptions {
  /** How long a turn may keep everything else of its thread waiting, 1 ms to 1 h. @default 25 */
  readonly thresholdMs?: number;
  /** How many stalls of a shard are reported with a stack, 0 to 10000; all are counted. @default 5 */
  readonly reportsPerMinute?: number;
  /** Called for every report, on the main thread; on the thread itself under `attach()`. */
  readonly onStall?: (report: StallReport) => void;
}

/** Where `/metrics` is served. */
export interface MetricsEndpoint {
  /** 0 takes a free one, see `runtime.metricsPort`. */
  readonly port: number;
  /** An address of this machine; others than the loopback show the metrics to the network. @default '127.0.0.1' */
  readonly host?: string;
}

/** What is observed, and who may look; part of the options of `Runtime.start()`. */
export interface ObserveOptions {
  /** Turns that last too long. `false` switches their detection off. @default the defaults of {@link StallOptions} */
  readonly stalls?: StallOptions | false;
  /** Operations on files that take longer are logged, in milliseconds; Infinity for none. @default 1000 */
  readonly slowOperationMs?: number;
  /** The same for sends and connects, which a slow peer makes slow, too. @default 10000 */
  readonly slowSocketOperationMs?: number;
  /** Serves the metrics of all shards to Prometheus. @default not served */
  readonly metrics?: MetricsEndpoint;
  /** Whether `npx sunstar top` of the same user may attach. @default true */
  readonly inspect?: boolean;
}

/** {@link ObserveOptions} with every default filled in. */
export interface ResolvedObserveOptions {
  /** 0: switched off. */
  readonly stallThresholdMs: number;
  readonly stallReportsPerMinute: number;
  readonly onStall: ((report: StallReport) => void) | undefined;
  readonly slowOperationMs: number;
  readonly slowSocketOperationMs: number;
  readonly metrics: Required<MetricsEndpoint> | undefined;
  readonly inspect: boolean;
}

/** The part that a shard's thread needs. */
export type ShardObserveOptions = Pick<
  ResolvedObserveOptions,
  'stallThresholdMs' | 'stallReportsPerMinute' | 'slowOperationMs' | 'slowSocketOperationMs'
>;

function inRange(name: string, value: number, min: number, max: number): number {
  if (value >= min && value <= max) return value;
  throw new SunstarError('SUNSTAR_INVALID_OPTION', `\`${name}\` is ${value}; give ${min} to ${max}.`);
}

/** Checks options and fills in what is missing. */
export function resolveObserveOptions(options: ObserveOptions): ResolvedObserveOptions {
  const {
    stalls = {},
    slowOperationMs = 1000,
    slowSocketOperationMs = 10_000,
    metrics,
    inspect = true,
  } = options;
  const { thresholdMs = 25, reportsPerMinute = 5, onStall } = stalls === false ? {} : stalls;
  if (metrics !== undefined && !Number.isInteger(inRange('metrics.port', metrics.port, 0, 65_535))) {
    throw new SunstarError('SUNSTAR_INVALID_OPTION', `\`metrics.port\` is ${metrics.port}; give a port.`);
  }
  return {
    stallThresholdMs: stalls === false ? 0 : inRange('stalls.thresholdMs', thresholdMs, 1, 3_600_000),
    stallReportsPerMinute: Math.floor(inRange('stalls.reportsPerMinute', reportsPerMinute, 0, 10_000)),
    onStall,
    slowOperationMs: inRange('slowOperationMs', slowOperationMs, 0, Infinity),
    slowSocketOperationMs: inRange('slowSocketOperationMs', slowSocketOperationMs, 0, Infinity),
    metrics: metrics === undefined ? undefined : { host: '127.0.0.1', ...metrics },
    inspect,
  };
}

/** The part that crosses over to a shard's thread. */
export function forShard(options: ResolvedObserveOptions): ShardObserveOptions {
  const { stallThresholdMs, stallReportsPerMinute, slowOperationMs, slowSocketOperationMs } = options;
  return { stallThresholdMs, stallReportsPerMinute, slowOperationMs, slowSocketOperationMs };
}
