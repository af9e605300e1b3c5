import './transfer.js';

export type { BlockOwner } from './block.js';
export type { TextEncoding } from './content.js';
export type { ContentBuilder } from './content-builder.js';
export type { ContentView } from './content-view.js';
export { CRC32C_ACCELERATED, crc32c } from './crc32c.js';
export { applyCipher, type Cipherlike, digest, type Updatable, updateWith } from './crypto.js';
export type { Cursor } from './cursor.js';
export { forgottenBuffers } from './debug.js';
export { FRAGMENT_SIZE_BYTES_MAX } from './growth.js';
export { IOBuf } from './iobuf.js';
export type { NumberAppender } from './number-appender.js';
export type { NumberReader } from './number-reader.js';
export type { NumberSetter } from './number-setter.js';
export type { Placeholder } from './placeholder.js';
export { IOVEC_SIZE_BYTES, IOVECS_MAX } from './scatter.js';
export {
  type CollectOptions,
  collect,
  drain,
  toReadable,
  toReadableStream,
  toWritable,
  toWritableStream,
  transform,
} from './streams.js';
export { appendJson, lines, parseJson } from './text.js';
export type { Writer } from './writer.js';
