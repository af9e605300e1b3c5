import { constants } from 'node:fs';
import { invalidOptionError } from './errors.js';

/** How a file is opened, spelled out. Neither `read` nor `write` means `read`. */
export interface OpenFlags {
  readonly read?: boolean;
  readonly write?: boolean;
  /** Creates the file when it is missing. */
  readonly create?: boolean;
  /** With `create`: fails with SUNSTAR_EEXIST when the file is there. */
  readonly exclusive?: boolean;
  /** Cuts the file to zero bytes. */
  readonly truncate?: boolean;
  /** Every write is durable when it completes (O_DSYNC). */
  readonly dataSync?: boolean;
  /** Every write and its metadata are durable when it completes (O_SYNC). */
  readonly sync?: boolean;
  /** Reads leave the time of the last access as it is (O_NOATIME); SUNSTAR_EPERM unless the file is yours. */
  readonly noAccessTime?: boolean;
  /**
   * The path is a directory: makes a file in it that has no name, and is gone when it is closed unless
   * {@link DmaFile.link} gave it one. Needs `write`. SUNSTAR_EOPNOTSUPP on file systems that cannot.
   */
  readonly temporary?: boolean;
  /** Fails with SUNSTAR_ELOOP when the last part of the path is a symbolic link. */
  readonly noFollow?: boolean;
}

/**
 * How a file is opened, by the names of node:fs. `a` and `a+` create a missing file and keep an existing one,
 * but writes go where they say, not to the end: appending is what {@link SegmentAppender} is for.
 */
export type OpenMode = 'r' | 'r+' | 'w' | 'wx' | 'w+' | 'wx+' | 'a' | 'ax' | 'a+' | 'ax+';

/** Options of {@link DmaFile.open}. */
export interface DmaFileOptions {
  /** @defaultValue 'r' */
  readonly flags?: OpenMode | OpenFlags;
  /**
   * Permissions of a file that is created, before the umask.
   *
   * @defaultValue 0o644
   */
  readonly mode?: number;
  /**
   * Whether the page cache is passed by (O_DIRECT). `require` fails with SUNSTAR_DIRECT_IO_UNSUPPORTED where the
   * file system cannot; `prefer` falls back to the page cache there, says so in the log and keeps asking for
   * aligned operations, so that a program that works there works everywhere; `never` uses the page cache and
   * takes any alignment.
   *
   * @defaultValue 'prefer'
   */
  readonly direct?: 'require' | 'prefer' | 'never';
  /**
   * Operations of one scheduling group that the device has at the same time, 1 to 4096; more wait their turn.
   *
   * @defaultValue 64
   */
  readonly depth?: number;
  /**
   * Operations that may wait, 0 to 65536.
   *
   * @defaultValue 4096
   */
  readonly maxQueued?: number;
  /**
   * What an operation with a promise does when as many wait already: `fail` with SUNSTAR_FILE_BUSY, or
   * SUNSTAR_IO_QUEUE_FULL where the queue of the device is meant; or `wait` until there is room.
   *
   * @defaultValue 'fail'
   */
  readonly whenFull?: 'fail' | 'wait';
  /**
   * Registers the shard's memory with the ring, which then need not look up its pages for each read and write: the
   * first such file registers all of it, until the shard ends. It stays in physical memory, and counts against
   * `ulimit -l` except for root. Where the ring refuses (that limit, the emulated ring) the log says so, and
   * operations go on without; see {@link DmaFile.isMemoryRegistered}.
   *
   * @defaultValue false
   */
  readonly registerMemory?: boolean;
  /**
   * Registers the descriptor with the ring, which then need not look it up for each operation; on the same terms, up
   * to 1,024 on a shard. See {@link DmaFile.isDescriptorRegistered}.
   *
   * @defaultValue false
   */
  readonly registerDescriptor?: boolean;
}

const MODES: Readonly<Record<OpenMode, OpenFlags>> = {
  r: { read: true },
  'r+': { read: true, write: true },
  w: { write: true, create: true, truncate: true },
  wx: { write: true, create: true, exclusive: true },
  'w+': { read: true, write: true, create: true, truncate: true },
  'wx+': { read: true, write: true, create: true, exclusive: true },
  a: { write: true, create: true },
  ax: { write: true, create: true, exclusive: true },
  'a+': { read: true, write: true, create: true },
  'ax+': { read: true, write: true, create: true, exclusive: true },
};

/** The flags for openat, without O_DIRECT; close-on-exec always. Throws SUNSTAR_INVALID_OPTION. */
export function openFlags(flags: OpenMode | OpenFlags = 'r'): number {
  const chosen = typeof flags === 'string' ? MODES[flags] : flags;
  if (chosen === undefined) {
    throw invalidOptionError('flags', flags, `one of ${Object.keys(MODES).join(', ')} or an object`);
  }
  const { read, write, create, exclusive, truncate, temporary, dataSync, sync, noFollow, noAccessTime } =
    chosen;
  if (exclusive === true && create !== true) {
    throw invalidOptionError('flags.exclusive', true, '`create` with it');
  }
  if ((create === true || truncate === true || temporary === true) && write !== true) {
    throw invalidOptionError('flags.write', write, 'true, because the file is to be created or truncated');
  }
  if (temporary === true && (create === true || truncate === true)) {
    throw invalidOptionError('flags.temporary', true, 'no `create` or `truncate` with it: the file is new');
  }
  let bits = O_CLOEXEC | constants.O_RDONLY;
  if (write === true) bits |= read === true ? constants.O_RDWR : constants.O_WRONLY;
  if (create === true) bits |= constants.O_CREAT;
  if (exclusive === true) bits |= constants.O_EXCL;
  if (truncate === true) bits |= constants.O_TRUNC;
  if (temporary === true) bits |= O_TMPFILE_BIT | constants.O_DIRECTORY;
  if (dataSync === true) bits |= constants.O_DSYNC;
  if (sync === true) bits |= constants.O_SYNC;
  if (noAccessTime === true) bits |= constants.O_NOATIME;
  if (noFollow === true) bits |= constants.O_NOFOLLOW;
  return bits;
}

// The same on every Linux that Node runs on; node:fs does not name it.
const O_CLOEXEC = 0o2000000;
const O_TMPFILE_BIT = 0o20000000;

/** Checks an integer option. Throws SUNSTAR_INVALID_OPTION. */
export function integerOption(name: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalidOptionError(name, value, `an integer from ${min} to ${max}`);
}
