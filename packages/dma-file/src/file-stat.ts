import { IORING_OP, type ShardMemory } from '@sunstar/runtime';
import type { FileOperations } from './file-operations.js';
import { operate } from './operate.js';

/** What the kernel knows about a file. */
export interface FileStat {
  readonly sizeBytes: number;
  /** Space that the file really takes on the disk, allocated ahead or not. */
  readonly allocatedBytes: number;
  /** Preferred size of I/O. */
  readonly blockBytes: number;
  /** Type and permissions, as in `st_mode`. */
  readonly mode: number;
  readonly linkCount: number;
  readonly userId: number;
  readonly groupId: number;
  readonly inode: number;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  /** Times in milliseconds since the epoch, with fractions. */
  readonly accessedMs: number;
  readonly modifiedMs: number;
  readonly changedMs: number;
  readonly createdMs: number;
}

/** Size of `struct statx`. */
export const STATX_BYTES = 256;
/** STATX_BASIC_STATS and STATX_BTIME. */
export const STATX_MASK = 0xfff;
/** The path is empty: it is about the descriptor. */
const AT_EMPTY_PATH = 0x1000;

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const SECTOR_BYTES = 512;

/** Reads `struct statx` at an offset of the view. */
export function parseStatx(view: DataView, offset: number): FileStat {
  const mode = view.getUint16(offset + 28, true);
  return {
    blockBytes: view.getUint32(offset + 4, true),
    linkCount: view.getUint32(offset + 16, true),
    userId: view.getUint32(offset + 20, true),
    groupId: view.getUint32(offset + 24, true),
    mode,
    inode: unsigned64(view, offset + 32),
    sizeBytes: unsigned64(view, offset + 40),
    allocatedBytes: unsigned64(view, offset + 48) * SECTOR_BYTES,
    isFile: (mode & S_IFMT) === S_IFREG,
    isDirectory: (mode & S_IFMT) === S_IFDIR,
    accessedMs: timestamp(view, offset + 64),
    createdMs: timestamp(view, offset + 80),
    changedMs: timestamp(view, offset + 96),
    modifiedMs: timestamp(view, offset + 112),
  };
}

function unsigned64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

function timestamp(view: DataView, offset: number): number {
  const seconds = view.getUint32(offset, true) + view.getInt32(offset + 4, true) * 2 ** 32;
  return seconds * 1000 + view.getUint32(offset + 8, true) / 1e6;
}

/** What the kernel knows about the file that these operations are on. */
export async function statDescriptor(
  path: string,
  memory: ShardMemory,
  operations: FileOperations,
): Promise<FileStat> {
  const offset = memory.allocate(STATX_BYTES + 8);
  try {
    const { address, view } = memory.arena;
    // An empty path behind the result: the kernel takes the descriptor.
    memory.bytes[offset + STATX_BYTES] = 0;
    await operate('statx', path, (done) =>
      operations.submit(
        done,
        IORING_OP.STATX,
        address + offset + STATX_BYTES,
        STATX_MASK,
        address + offset,
        AT_EMPTY_PATH,
      ),
    );
    return parseStatx(view, offset);
  } finally {
    memory.free(offset);
  }
}
