export type { BlockOwner } from './block.js';
export { crc32c } from './crc32c.js';
export type { Cursor } from './cursor.js';
export { FRAGMENT_SIZE_BYTES_MAX } from './growth.js';
export { IOBuf } from './iobuf.js';
export type { NumberAppender } from './number-appender.js';
export type { Placeholder } from './placeholder.js';
export { IOVEC_SIZE_BYTES, IOVECS_MAX } from './scatter.js';
