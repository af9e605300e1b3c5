import { currentGroupId, type IoQueue, SunstarError } from '@sunstar/runtime';
import { invalidOptionError } from './errors.js';

/** How a single read or write is done. */
export interface FileIoOptions {
  /**
   * Ends it with SUNSTAR_ABORTED while it still waits for its turn. What the device has already is not recalled:
   * it ends as if there were no signal.
   */
  readonly signal?: AbortSignal;
  /**
   * How long it may take, in milliseconds, above 0. When what the shard has learned about the device says that it
   * would take longer, it is refused at once with SUNSTAR_DEADLINE_UNMEETABLE and the device is left alone. Once
   * admitted it is not ended by the deadline. Only on files that pass by the page cache.
   */
  readonly deadlineMs?: number;
}

/** How a read into fresh memory is done. */
export interface FileReadOptions extends FileIoOptions {
  /** Where the memory comes from, such as a memory group of the shard. @defaultValue the memory of the shard */
  readonly memory?: ReadMemory;
}

/** What hands out memory for a read; blocks go back through the shard's memory. */
export interface ReadMemory {
  /** As `ShardMemory.allocateAligned`. */
  allocateAligned(sizeBytes: number, alignmentBytes: number): number;
}

/** The wait or operation was ended by its signal. */
export function abortedError(what: string, path: string, signal: AbortSignal | undefined): SunstarError {
  return new SunstarError(
    'SUNSTAR_ABORTED',
    `The ${what} of '${path}' was aborted by its AbortSignal before the device had all of it; see the cause.`,
    { cause: signal?.reason },
  );
}

/** Throws when the signal is aborted already, or the deadline makes no sense or cannot be met. */
export function admitIo(
  options: FileIoOptions | undefined,
  queue: IoQueue | null,
  path: string,
  isWrite: boolean,
  sizeBytes: number,
  roundsAhead: number,
): void {
  if (options === undefined) return;
  const { signal, deadlineMs } = options;
  if (signal?.aborted === true) throw abortedError(isWrite ? 'write' : 'read', path, signal);
  if (deadlineMs === undefined) return;
  if (!(deadlineMs > 0)) throw invalidOptionError('deadlineMs', deadlineMs, 'a number above 0');
  queue?.admit(currentGroupId(), isWrite, sizeBytes, deadlineMs, roundsAhead);
}
