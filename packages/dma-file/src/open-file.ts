import { constants, fstatSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { native } from '@sunstar/native';
import {
  AT_FDCWD,
  type Completion,
  ERRNO,
  IORING_OP,
  type ShardContext,
  systemError,
} from '@sunstar/runtime';
import { directIoUnsupportedError, invalidOptionError } from './errors.js';
import { type DmaFileOptions, integerOption, openFlags } from './open-options.js';
import { checkPath, writePath } from './path.js';
import { RegisteredFile } from './registered-file.js';

/** A descriptor and how it must be used. */
export interface OpenedFile {
  readonly fd: number;
  readonly isDirect: boolean;
  readonly memoryAlignmentBytes: number;
  readonly offsetAlignmentBytes: number;
  readonly depth: number;
  readonly maxQueued: number;
  /** Its size; infinity where it does not become longer, or not with a lock that direct writes contend for. */
  readonly endBytes: number;
  /** Number of the device that the file is on, `st_dev`. */
  readonly device: number;
  /** Its number there, `st_ino`. */
  readonly inode: number;
  readonly registered: RegisteredFile | null;
}

interface Alignment {
  readonly memoryBytes: number;
  readonly offsetBytes: number;
}

/** Good for every device there is. */
const SAFE: Alignment = { memoryBytes: 4096, offsetBytes: 4096 };
const NONE: Alignment = { memoryBytes: 1, offsetBytes: 1 };

/** File systems that live in the page cache, by the magic number of statfs. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */]);

/** Directories for which the fallback was logged; the oldest is forgotten. */
const logged = new Set<string>();
const MAX_LOGGED = 100;

/** Opens through the ring and finds out what the file needs. */
export async function openFile(
  shard: ShardContext,
  path: string,
  options: DmaFileOptions,
): Promise<OpenedFile> {
  checkPath(path);
  const flags = openFlags(options.flags);
  const mode = integerOption('mode', options.mode ?? 0o644, 0, 0o7777);
  const depth = integerOption('depth', options.depth ?? 64, 1, 4096);
  const maxQueued = integerOption('maxQueued', options.maxQueued ?? 4096, 0, 65536);
  const direct = options.direct ?? 'prefer';
  if (direct !== 'require' && direct !== 'prefer' && direct !== 'never') {
    throw invalidOptionError('direct', direct, "'require', 'prefer' or 'never'");
  }
  const { registerMemory = false, registerDescriptor = false } = options;
  const opened = (fd: number, isDirect: boolean, alignment: Alignment): OpenedFile => {
    // Of an open file, so the kernel has it in memory.
    const stat = fstatSync(fd);
    return {
      fd,
      isDirect,
      memoryAlignmentBytes: alignment.memoryBytes,
      offsetAlignmentBytes: alignment.offsetBytes,
      depth,
      maxQueued,
      endBytes: isDirect && stat.isFile() ? stat.size : Number.POSITIVE_INFINITY,
      device: stat.dev,
      inode: stat.ino,
      registered: RegisteredFile.register(shard, fd, path, { registerMemory, registerDescriptor }),
    };
  };

  if (direct === 'never') return opened(await openAt(shard, path, flags, mode), false, NONE);
  let fd = await openAt(shard, path, flags | constants.O_DIRECT, mode, -ERRNO.EINVAL);
  if (fd >= 0) {
    const alignment = await directAlignment(path, fd);
    if (alignment !== null) return opened(fd, true, alignment);
    if (direct === 'require') {
      await shard.reactor.closeAndWait(fd);
      throw directIoUnsupportedError(path);
    }
  } else {
    if (direct === 'require') throw directIoUnsupportedError(path, systemError('openat', fd, path));
    // The kernel creates the file before it refuses O_DIRECT: this time it is there already.
    fd = await openAt(shard, path, flags & ~constants.O_EXCL, mode);
  }
  logFallback(shard, path);
  return opened(fd, false, SAFE);
}

/** What O_DIRECT needs on an open file; null where it goes through the page cache all the same. */
async function directAlignment(path: string, fd: number): Promise<Alignment | null> {
  const answer = native.directIoAlignment(fd);
  if (typeof answer === 'object') return answer.offsetBytes === 0 ? null : answer;
  // Kernels before 6.1 and some file systems do not say; those in memory take the flag and ignore it.
  // When even that cannot be found out, O_DIRECT was accepted, which is what counts.
  const type = await statfs(path).then(
    (answer) => answer.type,
    () => 0,
  );
  return IN_MEMORY.has(type) ? null : SAFE;
}

/** openat; the result `tolerated` is returned, every other error thrown. */
async function openAt(
  shard: ShardContext,
  path: string,
  flags: number,
  mode: number,
  tolerated = 0,
): Promise<number> {
  const { memory, reactor } = shard;
  const offset = writePath(memory, path);
  try {
    const result = await new Promise<number>((resolve) => {
      const completion: Completion = { complete: resolve };
      const address = memory.arena.address + offset;
      reactor.submit(completion, IORING_OP.OPENAT, AT_FDCWD, address, mode, 0, flags);
    });
    if (result < 0 && result !== tolerated) throw systemError('openat', result, path);
    return result;
  } finally {
    memory.free(offset);
  }
}

function logFallback(shard: ShardContext, path: string): void {
  const directory = dirname(path);
  if (logged.has(directory)) return;
  if (logged.size >= MAX_LOGGED) logged.clear();
  logged.add(directory);
  shard.log.warn({ path }, 'this file system has no O_DIRECT: files here go through the page cache');
}
