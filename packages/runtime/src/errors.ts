import { errnoName, explainErrno } from './errno.js';

/** Details of a {@link SunstarError}. */
export interface SunstarErrorOptions {
  /** The error or value that led to this one. */
  readonly cause?: unknown;
  /** The system call or ring operation that failed, for example `write`. */
  readonly syscall?: string;
  /** The positive error number of the system call. */
  readonly errno?: number;
}

/**
 * Every error that sunstar throws: a stable `code` for programs, and a message for people that
 * names the likely cause and the remedy.
 */
export class SunstarError extends Error {
  /** Stable identifier, `SUNSTAR_…`. */
  readonly code: string;
  /** The system call or ring operation that failed, if one did. */
  readonly syscall?: string;
  /** The positive error number of the system call, if one failed. */
  readonly errno?: number;

  constructor(code: string, message: string, options?: SunstarErrorOptions) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    if (options?.syscall !== undefined) this.syscall = options.syscall;
    if (options?.errno !== undefined) this.errno = options.errno;
  }

  override get name(): string {
    return this.constructor.name;
  }
}

/** A system call or ring operation failed; `code` is `SUNSTAR_` and the name of the error number. */
export class SystemError extends SunstarError {}

/**
 * Makes the error of a failed system call.
 *
 * @param syscall - What failed, for example `write`.
 * @param result - The negative error number that the kernel answered.
 * @param detail - What it was about, for example a path.
 */
export function systemError(syscall: string, result: number, detail?: string): SystemError {
  const errno = -result;
  const about = detail === undefined ? '' : ` '${detail}'`;
  return new SystemError(`SUNSTAR_${errnoName(errno)}`, `${syscall}${about} failed: ${explainErrno(errno)}`, {
    syscall,
    errno,
  });
}

/** The shard's arena, or a budget in it, has no room for a request. */
export class OutOfMemoryError extends SunstarError {
  /** How many bytes were asked for. */
  readonly requestedBytes: number;
  /** How many bytes are free in total; they may be in pieces that are too small. */
  readonly freeBytes: number;
  /** Who holds the memory: sizes, groups, reclaimers, call sites. At most one error a second has it. */
  readonly report?: string;

  constructor(requestedBytes: number, freeBytes: number, message?: string, report?: string) {
    super(
      'SUNSTAR_OUT_OF_MEMORY',
      message ??
        `The shard's arena has no block of ${requestedBytes} bytes (${freeBytes} bytes are free in all). ` +
          'Release buffers sooner, limit what is buffered, or start the runtime with more `memory`.',
    );
    this.requestedBytes = requestedBytes;
    this.freeBytes = freeBytes;
    if (report !== undefined) this.report = report;
  }
}
