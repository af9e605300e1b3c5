import { SunstarError } from '@sunstar/runtime';
import { history } from './debug.js';

/** The buffer was used after its `[Symbol.dispose]()`. */
export function disposedError(buffer: object): SunstarError {
  return new SunstarError(
    'SUNSTAR_IOBUF_DISPOSED',
    'This IOBuf was disposed: its memory may already hold something else. ' +
      `Dispose a buffer last, and keep a share() for whoever needs the bytes longer.${history(buffer)}`,
  );
}

/** The buffer was used after its content had gone to another owner. */
export function movedError(buffer: object): SunstarError {
  return new SunstarError(
    'SUNSTAR_IOBUF_MOVED',
    'The content of this IOBuf was moved: to the result of move(), or to another shard with a call. ' +
      `Use the new owner's buffer, or move a share().${history(buffer)}`,
  );
}

/** A number was outside of what an operation takes; fractions and NaN are always outside. */
export function outOfRangeError(
  name: string,
  value: unknown,
  min: number | bigint,
  max: number | bigint,
): SunstarError {
  return new SunstarError(
    'SUNSTAR_OUT_OF_RANGE',
    `${name} is ${String(value)}; it must be an integer from ${min} to ${max}.`,
  );
}

/** An argument had a type that the operation does not take. */
export function invalidArgumentError(name: string, expected: string, value: unknown): SunstarError {
  const kind = value === null ? 'null' : typeof value;
  return new SunstarError('SUNSTAR_INVALID_ARGUMENT', `${name} must be ${expected}, but is ${kind}.`);
}

/** A read went past the end of the content. */
export function underrunError(neededBytes: number, remainingBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_UNDERRUN',
    `The read needs ${neededBytes} bytes, but only ${remainingBytes} remain. ` +
      'Compare `remaining` first, or append more bytes and read again: the cursor has not moved.',
  );
}

/** A cursor or a writer was used after its buffer had changed under it. */
export function modifiedError(): SunstarError {
  return new SunstarError(
    'SUNSTAR_IOBUF_MODIFIED',
    'The buffer was changed while a cursor or a writer was at work on it. Call cursor.reset() after a trim, clear, ' +
      'take, insert or prepend (appending needs none); flush a writer before any other change.',
  );
}

/** A commit did not match the reservation before it. */
export function notReservedError(sizeBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_IOBUF_NOT_RESERVED',
    `commit(${sizeBytes}) does not match the last reserve(). Reserve at least as much as is committed, ` +
      'and change the buffer in no other way in between.',
  );
}

/** The memory of a fragment has gone to another thread. */
export function detachedError(): SunstarError {
  return new SunstarError(
    'SUNSTAR_IOBUF_DETACHED',
    'The memory of a fragment was transferred away (postMessage, structuredClone or ArrayBuffer.transfer). ' +
      'Never transfer memory that an IOBuf holds: wrap a copy of it, or send the IOBuf itself.',
  );
}

/** A fragment lies outside of the arena, where an offset says nothing. */
export function foreignError(what: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_IOBUF_FOREIGN',
    `${what} lies outside of this shard's arena: it was wrapped, or came from another shard. ` +
      'Call localize() first, or use fragmentAddress() or writeIovecs(), which take any memory.',
  );
}

/** More than 64 bits, or more than ten bytes, where a varint was expected. */
export function invalidVarintError(): SunstarError {
  return new SunstarError(
    'SUNSTAR_INVALID_VARINT',
    'The bytes are no varint of at most 64 bits. The cursor has not moved; check that it stands where the number begins.',
  );
}

/** Bytes were read as UTF-8 that are none. */
export function invalidUtf8Error(): SunstarError {
  return new SunstarError(
    'SUNSTAR_INVALID_UTF8',
    "The bytes are no valid UTF-8. Read them as 'utf8' to get U+FFFD in place of what is wrong, or as 'latin1'.",
  );
}

/** Internal accounting was violated: a defect of this library, never of its caller. */
export function invariantError(what: string): SunstarError {
  return new SunstarError('SUNSTAR_INVARIANT', `IOBuf invariant broken: ${what}. Please report it.`);
}

/** Checks an integer argument. */
export function checkInteger(name: string, value: number, min: number, max: number): void {
  // Nearly always a small integer: the first test is the cheap one.
  if (typeof value === 'number') {
    if ((value | 0) === value && value >= min && value <= max) return;
    if (value >= min && value <= max && Math.floor(value) === value) return;
  }
  throw outOfRangeError(name, value, min, max);
}
