import { native } from '@sunstar/native';
import { SunstarError } from '../errors.js';
import { type Arena, arenaOver, checkArenaSize } from './arena.js';
import { adviseHugePages, type HugePages } from './huge-pages.js';
import { PAGE_BYTES } from './size-classes.js';

/** The alias does not keep the memory; this does, for as long as somebody holds any view of the alias. */
const memoryOfAlias = new WeakMap<ArrayBuffer, SharedArrayBuffer>();

// `lib` is ES2023, this option is ES2024; every supported Node has it.
const GrowableSharedArrayBuffer = SharedArrayBuffer as new (
  sizeBytes: number,
  options: { maxByteLength: number },
) => SharedArrayBuffer;

/** Options of {@link createArena}. */
export interface ArenaOptions {
  /** Whether huge pages back it, as far as it is not backed yet. @default 'auto' */
  readonly hugePages?: HugePages;
}

/**
 * Makes an arena of `sizeBytes`, zeroed. Pages take up memory when they are first touched.
 *
 * @param sizeBytes - {@link MIN_ARENA_BYTES} to {@link MAX_ARENA_BYTES}, a multiple of 4096; no power of two needed.
 * @throws SunstarError SUNSTAR_INVALID_SIZE; SUNSTAR_ARENA_FAILED when the system has not enough memory;
 * SUNSTAR_HUGE_PAGES_UNAVAILABLE.
 */
export function createArena(sizeBytes: number, options: ArenaOptions = {}): Arena {
  checkArenaSize(sizeBytes);
  let shared: SharedArrayBuffer;
  try {
    // Only a growable SharedArrayBuffer is a mapping of its own, and so page-aligned.
    shared = new GrowableSharedArrayBuffer(sizeBytes, { maxByteLength: sizeBytes });
  } catch (cause) {
    throw new SunstarError(
      'SUNSTAR_ARENA_FAILED',
      `An arena of ${sizeBytes} bytes could not be allocated. Choose less \`memory\`, or raise the limit on the ` +
        "process's address space (ulimit -v, the container's memory limit).",
      { cause },
    );
  }
  const arena = openArena(shared);
  adviseHugePages(arena, options.hugePages ?? 'auto');
  return arena;
}

/**
 * The arena over memory that {@link createArena} made, on this thread or another.
 *
 * @throws SunstarError SUNSTAR_INVALID_SIZE, or SUNSTAR_ARENA_UNALIGNED when the memory came from elsewhere.
 */
export function openArena(shared: SharedArrayBuffer): Arena {
  checkArenaSize(shared.byteLength);
  // The explicit length matters: V8 accesses a length-tracking view dozens of times slower.
  const sharedBytes = new Uint8Array(shared, 0, shared.byteLength);
  const address = native.addressOf(sharedBytes);
  if (address % PAGE_BYTES !== 0) {
    throw new SunstarError(
      'SUNSTAR_ARENA_UNALIGNED',
      'The memory of an arena must start on a page. Make it with createArena, not with `new SharedArrayBuffer(size)`.',
    );
  }
  const alias = native.aliasOf(sharedBytes);
  memoryOfAlias.set(alias, shared);
  return arenaOver(alias, address, shared);
}
