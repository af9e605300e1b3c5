export type { SlowOperation } from '../metrics/operation-latencies.js';
export { CHANNELS } from './channels.js';
export type { MetricsEndpoint, ObserveOptions, StallOptions } from './options.js';
export type { GroupOverview, Overview, ShardOverview } from './overview.js';
export type { StallReport } from './stall-report.js';
