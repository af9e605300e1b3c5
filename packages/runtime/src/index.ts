export { type AttachOptions, attach } from './attach.js';
export { ERRNO, errnoName, explainErrno } from './errno.js';
export {
  OutOfMemoryError,
  SunstarError,
  type SunstarErrorOptions,
  SystemError,
  systemError,
} from './errors.js';
export * from './io/index.js';
export * from './life-cycle/index.js';
export type { Logger, LogOption } from './log.js';
export * from './memory/index.js';
export * from './metrics/index.js';
export * from './observe/index.js';
export * from './offload/index.js';
export * from './placement/index.js';
export * from './reactor/index.js';
export { Runtime, type RuntimeState } from './runtime.js';
export type { CrashAction, RuntimeOptions } from './runtime-options.js';
export * from './scheduling/index.js';
export { currentShard, type DrainTask, Shard, type ShardContext } from './shard.js';
export { ShardCrashedError } from './shard-crashed-error.js';
export { formatSize, parseSize } from './size.js';
export * from './smp/index.js';
export * from './sync/index.js';
export type { DrainReason, RejectedWhere } from './worker-protocol.js';
