import { ERRNO, SunstarError } from '@sunstar/runtime';

/** A position, size or buffer does not have the alignment that the device asks for. */
export function unalignedError(what: string, value: number, alignmentBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_UNALIGNED',
    `The ${what} (${value}) is not a multiple of ${alignmentBytes} bytes, which this file asks for. ` +
      'Align it to `offsetAlignmentBytes`, or append through a SegmentAppender, which takes any size.',
  );
}

/** The file was closed, or is closing. */
export function fileClosedError(path: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_FILE_CLOSED',
    `The file '${path}' is closed. Start operations before close() and open the file again to use it later.`,
  );
}

/** More operations wait for a file than its queue takes. */
export function fileBusyError(path: string, limit: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_FILE_BUSY',
    `${limit} operations already wait for '${path}'. Await earlier ones, or open it with a larger \`maxQueued\`.`,
  );
}

/** The queue of the device takes no more of this scheduling group. */
export function ioQueueFullError(path: string, limit: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_IO_QUEUE_FULL',
    `${limit} operations of this scheduling group already wait for the device of '${path}'. Await earlier ones, open ` +
      "files with `whenFull: 'wait'`, or raise `maxQueuedPerGroup` of the shard's I/O scheduler.",
  );
}

/** An argument is outside of its range. */
export function rangeError(what: string, value: unknown, expected: string): SunstarError {
  return new SunstarError('SUNSTAR_OUT_OF_RANGE', `${what} is ${String(value)}; expected ${expected}.`);
}

/** Checks a position in a file; throws SUNSTAR_OUT_OF_RANGE. */
export function checkOffset(what: string, value: number, max: number = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && value >= 0 && value <= max) return;
  throw rangeError(what, value, `an integer from 0 to ${max}`);
}

/** An option has a value that makes no sense. */
export function invalidOptionError(name: string, value: unknown, expected: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_INVALID_OPTION',
    `Option \`${name}\` is ${String(value)}; expected ${expected}.`,
  );
}

/** A path that no system call takes. */
export function invalidPathError(reason: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_INVALID_PATH',
    `The path ${reason}. Give a non-empty path without NUL bytes.`,
  );
}

/** The file system cannot do direct I/O and the caller insists on it. */
export function directIoUnsupportedError(path: string, cause?: unknown): SunstarError {
  return new SunstarError(
    'SUNSTAR_DIRECT_IO_UNSUPPORTED',
    `The file system of '${path}' has no O_DIRECT. Use a disk file system such as ext4 or xfs, or open with \`direct: 'prefer'\`.`,
    { cause },
  );
}

/** Appends and flushes after close(). */
export function appenderClosedError(): SunstarError {
  return new SunstarError(
    'SUNSTAR_APPENDER_CLOSED',
    'The appender is closed. Append before close(), or open a new appender on the file.',
  );
}

/** An append after seal(). */
export function appenderSealedError(): SunstarError {
  return new SunstarError(
    'SUNSTAR_APPENDER_SEALED',
    'The appender was sealed: its file is complete. Append to the next segment.',
  );
}

/** Bytes were appended although `hasRoom` is false. */
export function appenderFullError(bufferedBytes: number, limitBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_APPENDER_FULL',
    `${bufferedBytes} bytes wait to be written (limit ${limitBytes}). Await waitForRoom(), or raise \`maxBufferedBytes\`.`,
  );
}

/** More calls of write() wait for room than an appender takes. */
export function tooManyWritesError(limit: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_APPENDER_FULL',
    `${limit} calls of write() already wait for room. Await earlier ones before the next.`,
  );
}

/** A sync failed: what the device has is unknown, and nothing may be acknowledged any more. */
export function appenderPoisonedError(cause: unknown): SunstarError {
  return new SunstarError(
    'SUNSTAR_APPENDER_POISONED',
    'fdatasync failed, so the kernel may have dropped written data: a later sync that succeeds would prove nothing. ' +
      'Close the appender, check the device, and recover from what the file holds.',
    { cause },
  );
}

/** An append or a second truncate while the log is being truncated. */
export function appenderBusyError(): SunstarError {
  return new SunstarError(
    'SUNSTAR_APPENDER_BUSY',
    'The log is being truncated. Await truncate() or waitForRoom() before the next append.',
  );
}

/** A file has fewer bytes than were asked for. */
export function endOfFileError(path: string, wanted: number, found: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_END_OF_FILE',
    `'${path}' has ${found} more bytes, not ${wanted}. Ask for fewer, or use read() which gives what there is.`,
  );
}

/** A read after close(). */
export function streamClosedError(): SunstarError {
  return new SunstarError('SUNSTAR_STREAM_CLOSED', 'The stream is closed. Read before close().');
}

/** A batch is larger than the log takes. */
export function batchTooLargeError(sizeBytes: number, limitBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_BATCH_TOO_LARGE',
    `The batch has ${sizeBytes} bytes; the log takes ${limitBytes}. Split it, or raise \`maxBatchBytes\`.`,
  );
}

/** Somebody else has the log open. */
export function logLockedError(path: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_LOG_LOCKED',
    `The log in '${path}' is open already, in this process or another. Close it there first.`,
  );
}

/** More batches wait than the log takes. */
export function logFullError(limit: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_LOG_FULL',
    `${limit} batches wait to be appended already. Await append(), or raise \`maxWaiting\`.`,
  );
}

/** An append after close(). */
export function logClosedError(): SunstarError {
  return new SunstarError(
    'SUNSTAR_LOG_CLOSED',
    'The log is closed. Append before close(), or open it again.',
  );
}

/** Bytes that were durable are not there any more. */
export function corruptLogError(name: string, position: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_LOG_CORRUPT',
    `Segment '${name}' has no intact batch at ${position}, where one was written. ` +
      'Check the device and that nobody else writes the file; opening the log again keeps what is before it.',
  );
}

const REFUSALS: ReadonlySet<number> = new Set([
  -ERRNO.ENOSPC,
  -ERRNO.EDQUOT,
  -ERRNO.EFBIG,
  -ERRNO.EBADF,
  -ERRNO.EBUSY,
  -ERRNO.EINVAL,
]);

/** Whether a write that ended with this result was refused before anything was synced. */
export function isRefusal(result: number): boolean {
  return REFUSALS.has(result);
}
