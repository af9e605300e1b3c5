import { constants } from 'node:os';

/** Error numbers of this system by name, for example `ERRNO.ENOSPC === 28`. */
export const ERRNO: Readonly<typeof constants.errno> = constants.errno;

/** What an error number means for a person, and what usually helps. */
interface Explanation {
  readonly meaning: string;
  readonly remedy: string;
}

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  EACCES: { meaning: 'permission denied', remedy: 'Check the owner and mode of the path or the port.' },
  EADDRINUSE: {
    meaning: 'address already in use',
    remedy: 'Choose another port or stop the program that listens there.',
  },
  EADDRNOTAVAIL: {
    meaning: 'address not available on this machine',
    remedy: 'Bind to an address that `ip addr` lists.',
  },
  EAGAIN: { meaning: 'resource temporarily unavailable', remedy: 'Try again.' },
  EBADF: {
    meaning: 'bad file descriptor',
    remedy: 'The descriptor was closed or not opened for this operation.',
  },
  ECANCELED: {
    meaning: 'operation cancelled',
    remedy: 'It was cancelled by its owner or by the stop of its shard.',
  },
  ECONNREFUSED: {
    meaning: 'connection refused',
    remedy: 'Check that the server runs and listens on that address and port.',
  },
  ECONNRESET: { meaning: 'connection reset by the peer', remedy: 'Reconnect when the peer is back.' },
  EDQUOT: { meaning: 'disk quota exceeded', remedy: 'Free space or raise the quota.' },
  EEXIST: { meaning: 'it exists already', remedy: 'Choose another name or open it without `exclusive`.' },
  EFAULT: { meaning: 'bad address', remedy: 'The memory was freed or never belonged to this shard.' },
  EFBIG: { meaning: 'file too large', remedy: 'Check `ulimit -f` and the limits of the file system.' },
  EINTR: { meaning: 'interrupted by a signal', remedy: 'Try again.' },
  EINVAL: {
    meaning: 'invalid argument',
    remedy: 'For O_DIRECT check that memory, offset and length are aligned.',
  },
  EIO: { meaning: 'input/output error', remedy: 'Look at `dmesg`; the device may be failing.' },
  EISDIR: { meaning: 'it is a directory', remedy: 'Give the path of a file.' },
  EMFILE: {
    meaning: 'too many open descriptors in this process',
    remedy: 'Raise `ulimit -n` or close some.',
  },
  ENFILE: { meaning: 'too many open files on this machine', remedy: 'Raise the sysctl fs.file-max.' },
  ENOBUFS: {
    meaning: 'no buffer space available',
    remedy: 'Wait for operations in flight, then try again.',
  },
  ENOENT: { meaning: 'no such file or directory', remedy: 'Check the path.' },
  ENOMEM: {
    meaning: 'the kernel has no memory for this',
    remedy: 'Raise `ulimit -l` (locked memory) or free memory.',
  },
  ENOSPC: { meaning: 'no space left on device', remedy: 'Free space on the file system.' },
  ENOSYS: { meaning: 'not supported by this kernel', remedy: 'Use a newer kernel.' },
  ENOTDIR: { meaning: 'not a directory', remedy: 'Check the path.' },
  ENOTEMPTY: { meaning: 'directory not empty', remedy: 'Remove its contents first.' },
  EOPNOTSUPP: {
    meaning: 'operation not supported here',
    remedy: 'This file system or socket does not have it.',
  },
  EPERM: {
    meaning: 'operation not permitted',
    remedy: 'It needs a privilege, or a seccomp profile forbids it.',
  },
  EPIPE: { meaning: 'the peer has closed the connection', remedy: 'Reconnect before you write.' },
  EROFS: { meaning: 'read-only file system', remedy: 'Remount it writable or choose another directory.' },
  ETIMEDOUT: { meaning: 'timed out', remedy: 'Check the peer and the network.' },
};

const NAMES: ReadonlyMap<number, string> = new Map(
  // EWOULDBLOCK and EOPNOTSUPP share numbers with other names: the first one listed by Node wins.
  Object.entries(constants.errno)
    .reverse()
    .map(([name, value]) => [value, name]),
);

/** The symbolic name of an error number, for example `errnoName(28) === 'ENOSPC'`. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** What an error number means and what usually helps, as one or two sentences. */
export function explainErrno(errno: number): string {
  const name = errnoName(errno);
  const known = EXPLANATIONS[name];
  return known === undefined ? name : `${known.meaning} (${name}). ${known.remedy}`;
}
