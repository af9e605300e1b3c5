import type { RingSupport } from '@sunstar/native';
import { errnoName } from '../errno.js';
import { SunstarError } from '../errors.js';
import { IORING_OP } from './constants.js';

/** What the reactor and the packages on it need of the kernel, with the release that brought it. */
const OPERATIONS: readonly (readonly [name: keyof typeof IORING_OP, kernel: string, what: string])[] = [
  ['POLL_ADD', '5.1', 'polling of descriptors'],
  ['FALLOCATE', '5.6', 'preallocation of files'],
  ['OPENAT', '5.6', 'opening of files'],
  ['SEND', '5.6', 'sending'],
  ['SHUTDOWN', '5.11', 'half-close of sockets'],
  ['UNLINKAT', '5.11', 'removal of files'],
  ['MKDIRAT', '5.15', 'creation of directories'],
  ['MSG_RING', '5.18', 'wake-ups between shards'],
  ['SEND_ZC', '6.0', 'multishot receive and provided buffers'],
];

const FEATURES: readonly (readonly [bit: number, kernel: string, what: string])[] = [
  [1 << 0, '5.4', 'one mapping for both queues'],
  [1 << 1, '5.5', 'completions that are never dropped'],
  [1 << 8, '5.11', 'waiting with a timeout'],
];

/**
 * What this kernel lacks, in words; empty when it has everything.
 *
 * @param features - `IORING_FEAT_*` flags of the ring.
 * @param supported - One byte for each operation code.
 */
export function missingFeatures(features: number, supported: Uint8Array): string[] {
  const missing: string[] = [];
  for (const [bit, kernel, what] of FEATURES) {
    if ((features & bit) === 0) missing.push(`${what} (Linux ${kernel})`);
  }
  for (const [name, kernel, what] of OPERATIONS) {
    if (supported[IORING_OP[name]] !== 1) missing.push(`${what} (IORING_OP_${name}, Linux ${kernel})`);
  }
  return missing;
}

/** Why the kernel's rings cannot be used, as one error that names everything; undefined when they can. */
export function requirementError(support: RingSupport | number): SunstarError | undefined {
  if (typeof support === 'number') return ringRefused(support);
  const { features, operations } = support;
  if (typeof operations === 'number') {
    return new SunstarError(
      'SUNSTAR_KERNEL_UNSUPPORTED',
      `This kernel cannot tell which ring operations it has (${errnoName(-operations)}). io_uring is used on Linux 6.0 or newer.`,
      { syscall: 'io_uring_register', errno: -operations },
    );
  }
  const missing = missingFeatures(features, operations);
  if (missing.length === 0) return undefined;
  return new SunstarError(
    'SUNSTAR_KERNEL_UNSUPPORTED',
    `The io_uring of this kernel lacks what sunstar needs: ${missing.join('; ')}. Run on a newer kernel.`,
  );
}

/** The error for a ring that the kernel refused to create. */
export function ringRefused(result: number): SunstarError {
  const errno = -result;
  const name = errnoName(errno);
  const options = { syscall: 'io_uring_setup', errno };
  if (name === 'EPERM' || name === 'EACCES') {
    return new SunstarError(
      'SUNSTAR_IO_URING_FORBIDDEN',
      `This process may not use io_uring (${name}). A container's seccomp profile (Docker's default one does), ` +
        'the sysctl kernel.io_uring_disabled or a security module forbids it: allow the io_uring system calls.',
      options,
    );
  }
  if (name === 'ENOSYS') {
    return new SunstarError(
      'SUNSTAR_KERNEL_UNSUPPORTED',
      'This kernel has no io_uring, or a filter hides it (ENOSYS). io_uring is used on Linux 6.0 or newer.',
      options,
    );
  }
  if (name === 'ENOMEM') {
    return new SunstarError(
      'SUNSTAR_LOCKED_MEMORY',
      'The kernel may not lock the memory of a ring (ENOMEM). Raise `ulimit -l` or start fewer shards.',
      options,
    );
  }
  return new SunstarError('SUNSTAR_RING_FAILED', `The kernel refused to create a ring (${name}).`, options);
}
