import { constants } from 'node:buffer';
import { SunstarError } from '../errors.js';
import { PAGE_BYTES } from './size-classes.js';

/** The smallest arena, 1 MiB. */
export const MIN_ARENA_BYTES: number = 1024 * 1024;

/** The allocator's 32-bit integers count 8-byte granules: 16 GiB less one page. */
const MAX_COUNTABLE_BYTES = 16 * 1024 ** 3 - PAGE_BYTES;

/**
 * The largest arena: 16 GiB less one page where this Node's buffers can be so large (22 and later), 4 GiB less one
 * page on Node 20.
 */
export const MAX_ARENA_BYTES: number = Math.min(MAX_COUNTABLE_BYTES, constants.MAX_LENGTH - PAGE_BYTES);

/**
 * The memory of one shard: a SharedArrayBuffer, and the views through which its bytes are used.
 *
 * All views but `shared` go through a second, non-shared ArrayBuffer over the same memory, because V8 copies
 * to and from shared buffers several times slower. Words that other threads touch with `Atomics` need a view
 * of `shared`. An arena must stay referenced for as long as the kernel may write into it.
 */
export interface Arena {
  /** The memory as other threads can map it with {@link openArena}; null for an arena on the JavaScript heap. */
  readonly shared: SharedArrayBuffer | null;
  /** The whole arena. Index it with offsets; do not make a subarray on a hot path. */
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  /** Address of the first byte, a multiple of 4096; `address + offset` is what the kernel is given. */
  readonly address: number;
  readonly sizeBytes: number;
}

/**
 * An arena on the JavaScript heap, with an invented address: for tests and tools that never hand memory to
 * the kernel, and so do not need the addon.
 *
 * @throws SunstarError SUNSTAR_INVALID_SIZE
 */
export function heapArena(sizeBytes: number): Arena {
  checkArenaSize(sizeBytes);
  return arenaOver(new ArrayBuffer(sizeBytes), PAGE_BYTES, null);
}

/** The views over `memory`, which starts at `address`. */
export function arenaOver(memory: ArrayBuffer, address: number, shared: SharedArrayBuffer | null): Arena {
  const sizeBytes = memory.byteLength;
  return {
    shared,
    bytes: Buffer.from(memory, 0, sizeBytes),
    view: new DataView(memory, 0, sizeBytes),
    int32: new Int32Array(memory, 0, sizeBytes / 4),
    float64: new Float64Array(memory, 0, sizeBytes / 8),
    address,
    sizeBytes,
  };
}

/** Throws SUNSTAR_INVALID_SIZE unless an arena can have this size. */
export function checkArenaSize(sizeBytes: number): void {
  if (sizeBytes >= MIN_ARENA_BYTES && sizeBytes <= MAX_ARENA_BYTES && sizeBytes % PAGE_BYTES === 0) return;
  throw new SunstarError(
    'SUNSTAR_INVALID_SIZE',
    `An arena has ${MIN_ARENA_BYTES} to ${MAX_ARENA_BYTES} bytes, in multiples of ${PAGE_BYTES}, not ${sizeBytes}.`,
  );
}
