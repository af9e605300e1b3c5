import type { IOBuf } from '@sunstar/iobuf';
import { currentShard, parseSize, type ShardMemory } from '@sunstar/runtime';
import { invalidOptionError } from '../errors.js';
import type { ReadMemory } from '../io-options.js';
import { integerOption } from '../open-options.js';

/** What the cache keeps objects of; a `DmaFile` is one. The object itself is the key. */
export interface CacheFile {
  readonly path: string;
  /** As `DmaFile.read`, into the memory that is given. */
  read(position: number, length: number, options: { memory: ReadMemory }): Promise<IOBuf>;
  /** As `DmaFile.write`; only called for dirty objects. */
  write(position: number, data: IOBuf): Promise<unknown>;
}

/** Options of an `ObjectCache`. */
export interface ObjectCacheOptions {
  /** Names it, and its group in the memory of the shard. @defaultValue 'object-cache' */
  readonly name?: string;
  /** What its objects may have together, in bytes or as text, from 4 KiB. @defaultValue a quarter of the arena */
  readonly limit?: number | string;
  /** What is kept free for it, see `MemoryGroupOptions.reservation`. @defaultValue 0 */
  readonly reservation?: number | string;
  /** Objects at most, 1 to 16,777,216. @defaultValue 65536 */
  readonly maxEntries?: number;
  /** Bytes of dirty objects at most, in bytes or as text. @defaultValue half of the limit */
  readonly maxDirty?: number | string;
  /**
   * Writes a dirty object to its place. The content must not change meanwhile, and stays the cache's.
   *
   * @defaultValue `file.write(offset, content)`
   */
  readonly write?: (file: CacheFile, offset: number, content: IOBuf) => Promise<unknown>;
  /** @defaultValue the memory of the current shard */
  readonly memory?: ShardMemory;
  /** A monotonic clock, for the sizes of reclaim. @defaultValue performance.now */
  readonly nowMs?: () => number;
}

/** Options with every default filled in. */
export interface ResolvedCacheOptions {
  readonly name: string;
  readonly limitBytes: number;
  readonly reservation: number | string;
  readonly maxEntries: number;
  readonly maxDirtyBytes: number;
  readonly write: (file: CacheFile, offset: number, content: IOBuf) => Promise<unknown>;
  readonly memory: ShardMemory;
  readonly nowMs: () => number;
}

const MIN_LIMIT_BYTES = 4096;

/** Checks options. @throws SunstarError SUNSTAR_INVALID_OPTION, SUNSTAR_INVALID_SIZE */
export function resolveCacheOptions(options: ObjectCacheOptions): ResolvedCacheOptions {
  const memory = options.memory ?? currentShard().memory;
  const limitBytes = parseSize(options.limit ?? Math.floor(memory.arena.sizeBytes / 4));
  if (limitBytes < MIN_LIMIT_BYTES || limitBytes > memory.arena.sizeBytes) {
    throw invalidOptionError('limit', options.limit, `${MIN_LIMIT_BYTES} to ${memory.arena.sizeBytes} bytes`);
  }
  const maxDirtyBytes = parseSize(options.maxDirty ?? Math.floor(limitBytes / 2));
  if (maxDirtyBytes > limitBytes) {
    throw invalidOptionError('maxDirty', options.maxDirty, `at most the limit of ${limitBytes} bytes`);
  }
  return {
    name: options.name ?? 'object-cache',
    limitBytes,
    reservation: options.reservation ?? 0,
    maxEntries: integerOption('maxEntries', options.maxEntries ?? 65_536, 1, 16_777_216),
    maxDirtyBytes,
    write: options.write ?? ((file, offset, content) => file.write(offset, content)),
    memory,
    nowMs: options.nowMs ?? (() => performance.now()),
  };
}
