import { SunstarError } from '@sunstar/runtime';

/** Another process serves this directory. */
export function directoryInUse(directory: string, holder: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_KV_DIRECTORY_IN_USE',
    `The data directory '${directory}' is in use by another instance (pid ${holder}). ` +
      'Stop that one, or give this one another directory with --data.',
  );
}

/** A file system call on the data directory failed. */
export function directoryFailed(what: string, cause: unknown): SunstarError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new SunstarError('SUNSTAR_KV_DIRECTORY_FAILED', `Cannot ${what}: ${remedyOf(code, message)}`, {
    cause,
  });
}

function remedyOf(code: string | undefined, message: string): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return 'permission denied. Give this user read and write access, or choose another directory with --data.';
    case 'EROFS':
      return 'the file system is mounted read-only. Remount it for writing, or choose another directory with --data.';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no space left on the device. Free some, or choose another directory with --data.';
    case 'ENOTDIR':
    case 'EEXIST':
      return 'a file is in the way where a directory should be. Choose another directory with --data.';
    default:
      return message;
  }
}

/** The directory was written by something else, or by a later version. */
export function directoryForeign(path: string, what: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_KV_DIRECTORY_FOREIGN',
    `'${path}' ${what}. Was it written by another program or a later version? Choose another directory with --data.`,
  );
}

/** A file that was complete once is damaged. */
export function logDamaged(path: string, position: number, what: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_KV_LOG_DAMAGED',
    `The log file '${path}' is damaged at byte ${position}: ${what}. It was complete once, so this is no write that a ` +
      'crash tore. Restore the directory from a backup, or start with --repair to keep what precedes the damage.',
  );
}

/** A file of the sequence is not there. */
export function logIncomplete(directory: string, missing: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_KV_LOG_INCOMPLETE',
    `The log file '${missing}' is missing in '${directory}'. Restore the directory from a backup, or start with ` +
      '--repair to keep what precedes the gap.',
  );
}

/** The data does not fit into this shard's memory. */
export function replayOutOfMemory(path: string, cause: unknown): SunstarError {
  return new SunstarError(
    'SUNSTAR_KV_REPLAY_OUT_OF_MEMORY',
    `The data in '${path}' does not fit into the memory of this shard. Start with more --memory. Nothing was changed.`,
    { cause },
  );
}

/** The log takes no writes. */
export function logStopped(cause: SunstarError): SunstarError {
  return new SunstarError('SUNSTAR_KV_LOG_STOPPED', `The log takes no writes: ${cause.message}`, { cause });
}
