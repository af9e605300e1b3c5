export type { AppendMemory, AppendTarget, OneShotTimer } from './appender/append-target.js';
export type { SegmentAppenderOptions } from './appender/options.js';
export { SegmentAppender } from './appender/segment-appender.js';
export type { SegmentAppenderStats } from './appender/stats.js';
export { CommitDelay } from './dispatch/commit-delay.js';
export {
  type DispatchLoop,
  type DispatchTarget,
  FlushDispatcher,
  type FlushDispatcherOptions,
  type FlushDispatcherStats,
} from './dispatch/flush-dispatcher.js';
export { DmaFile } from './dma-file.js';
export type { RangeLockOptions } from './file-locks.js';
export type { DmaFileStats } from './file-metrics.js';
export type { FileStat } from './file-stat.js';
export {
  makeDirectory,
  readDirectory,
  removeDirectory,
  rename,
  stat,
  syncDirectory,
  unlink,
} from './file-system.js';
export { FileTarget } from './file-target.js';
export type { FileIoOptions, FileReadOptions, ReadMemory } from './io-options.js';
export { LockableFile } from './lockable-file.js';
export { Log, type LogStats } from './log/log.js';
export type { LogOptions } from './log/log-options.js';
export type { LogBatch } from './log/log-reader.js';
export { SegmentRecycler, type SegmentRecyclerOptions, type TakenSegment } from './log/segment-recycler.js';
export { DirectoryStorage, type SegmentStorage, type StorageLock } from './log/segment-storage.js';
export type { Loader } from './object-cache/loads.js';
export { ObjectCache, type Pin } from './object-cache/object-cache.js';
export type { CacheFile, ObjectCacheOptions } from './object-cache/options.js';
export type { ObjectCacheStats } from './object-cache/stats.js';
export type { DmaFileOptions, OpenFlags, OpenMode } from './open-options.js';
export {
  type FileRange,
  type RangeContent,
  type RangeReader,
  type ReadManyOptions,
  readMany,
} from './read-many.js';
export { ScatterBatch, type ScatterOptions } from './scatter/scatter-batch.js';
export { ScatterError } from './scatter/scatter-error.js';
export {
  type ReadSource,
  StreamReader,
  type StreamReaderOptions,
  type StreamReaderStats,
} from './streams/stream-reader.js';
export { StreamWriter, type StreamWriterOptions } from './streams/stream-writer.js';
export type { MemoryPiece } from './vectored.js';
