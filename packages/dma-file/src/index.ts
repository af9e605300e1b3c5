export type { AppendMemory, AppendTarget } from './appender/append-target.js';
export type { SegmentAppenderOptions } from './appender/options.js';
export { SegmentAppender } from './appender/segment-appender.js';
export type { SegmentAppenderStats } from './appender/stats.js';
export { DmaFile, type DmaFileStats } from './dma-file.js';
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
export type { DmaFileOptions, OpenFlags, OpenMode } from './open-options.js';
