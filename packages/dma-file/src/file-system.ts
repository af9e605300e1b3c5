import { constants } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { AT_FDCWD, currentShard, IORING_OP, type ShardContext, systemError } from '@sunstar/runtime';
import { type FileStat, parseStatx, STATX_BYTES, STATX_MASK } from './file-stat.js';
import { integerOption } from './open-options.js';
import { operate } from './operate.js';
import { checkPath, writePath } from './path.js';

const AT_REMOVEDIR = 0x200;
const AT_SYMLINK_FOLLOW = 0x400;
const O_CLOEXEC = 0o2000000;

/**
 * Renames a file or directory; one that has the new name is replaced, atomically. Survives a power cut only after
 * {@link syncDirectory} of the directories of both names.
 */
export async function rename(from: string, to: string): Promise<void> {
  const shard = currentShard();
  checkPath(to);
  await withPath(shard, from, (fromAddress) =>
    withPath(shard, to, (toAddress) =>
      operate('renameat', `${from}' -> '${to}`, (done) =>
        // The second directory descriptor travels in the length.
        shard.reactor.submit(done, IORING_OP.RENAMEAT, AT_FDCWD, fromAddress, AT_FDCWD, toAddress),
      ),
    ),
  );
}

/** @internal Gives an open file a name. */
export async function linkDescriptor(shard: ShardContext, fd: number, path: string): Promise<void> {
  await withPath(shard, `/proc/self/fd/${fd}`, (fromAddress) =>
    withPath(shard, path, (toAddress) =>
      operate('linkat', path, (done) =>
        // The second directory descriptor travels in the length.
        shard.reactor.submit(
          done,
          IORING_OP.LINKAT,
          AT_FDCWD,
          fromAddress,
          AT_FDCWD,
          toAddress,
          AT_SYMLINK_FOLLOW,
        ),
      ),
    ),
  );
}

/** Removes a file; the space comes back when nobody has it open. */
export async function unlink(path: string): Promise<void> {
  await onPath('unlinkat', path, IORING_OP.UNLINKAT, 0, 0);
}

/** Removes an empty directory. */
export async function removeDirectory(path: string): Promise<void> {
  await onPath('unlinkat', path, IORING_OP.UNLINKAT, 0, AT_REMOVEDIR);
}

/** Makes one directory whose parent exists. @param mode - Permissions before the umask; default 0o755. */
export async function makeDirectory(path: string, mode = 0o755): Promise<void> {
  await onPath('mkdirat', path, IORING_OP.MKDIRAT, integerOption('mode', mode, 0, 0o7777), 0);
}

/** Makes the entries of a directory durable: files created, renamed or removed in it before. */
export async function syncDirectory(path: string): Promise<void> {
  const { reactor } = currentShard();
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | O_CLOEXEC;
  const fd = await onPath('openat', path, IORING_OP.OPENAT, 0, flags);
  try {
    await operate('fsync', path, (done) => reactor.submit(done, IORING_OP.FSYNC, fd, 0, 0, 0));
  } finally {
    await reactor.closeAndWait(fd);
  }
}

/**
 * The names in a directory, in no order. io_uring has no operation that lists a directory (a patch for getdents was
 * proposed and not taken), and it may block on the disk: so it runs on Node's thread pool, not in the shard's thread.
 */
export async function readDirectory(path: string): Promise<string[]> {
  checkPath(path);
  try {
    return await readdir(path);
  } catch (error) {
    const errno = error instanceof Error && 'errno' in error ? error.errno : undefined;
    // Node gives the number that the system call returned, which is negative.
    if (typeof errno === 'number') throw systemError('readdir', errno, path);
    throw error;
  }
}

/** What the kernel knows about the file that a path names; symbolic links are followed. */
export async function stat(path: string): Promise<FileStat> {
  const shard = currentShard();
  const { memory, reactor } = shard;
  checkPath(path);
  const offset = memory.allocate(STATX_BYTES);
  try {
    await withPath(shard, path, (address) =>
      operate('statx', path, (done) =>
        reactor.submit(done, IORING_OP.STATX, AT_FDCWD, address, STATX_MASK, memory.arena.address + offset),
      ),
    );
    return parseStatx(memory.arena.view, offset);
  } finally {
    memory.free(offset);
  }
}

function onPath(
  syscall: string,
  path: string,
  opcode: number,
  length: number,
  opFlags: number,
): Promise<number> {
  const shard = currentShard();
  return withPath(shard, path, (address) =>
    operate(syscall, path, (done) =>
      shard.reactor.submit(done, opcode, AT_FDCWD, address, length, 0, opFlags),
    ),
  );
}

/** Keeps a path in memory for as long as the kernel may read it. */
async function withPath<T>(
  shard: ShardContext,
  path: string,
  use: (address: number) => Promise<T>,
): Promise<T> {
  const { memory } = shard;
  const offset = writePath(memory, path);
  try {
    return await use(memory.arena.address + offset);
  } finally {
    memory.free(offset);
  }
}
