import { SunstarError } from '@sunstar/runtime';

/** The buffer was used after its `[Symbol.dispose]()`. */
export function disposedError(): SunstarError {
  return new SunstarError(
    'SUNSTAR_IOBUF_DISPOSED',
    'This IOBuf was disposed: its memory may already hold something else. ' +
      'Dispose a buffer last, and keep a share() for whoever needs the bytes longer.',
  );
}

/** A number was outside of what an operation takes; fractions and NaN are always outside. */
export function outOfRangeError(name: string, value: unknown, min: number, max: number): SunstarError {
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

/** A cursor was used after the front or the tail of its buffer had moved. */
export function modifiedError(): SunstarError {
  return new SunstarError(
    'SUNSTAR_IOBUF_MODIFIED',
    'The buffer was trimmed, cleared, taken from or prepended to while a cursor was reading it. ' +
      'Call cursor.reset() after such a change; appending needs none.',
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

/** Internal accounting was violated: a defect of this library, never of its caller. */
export function invariantError(what: string): SunstarError {
  return new SunstarError('SUNSTAR_INVARIANT', `IOBuf invariant broken: ${what}. Please report it.`);
}

/** Checks an integer argument. */
export function checkInteger(name: string, value: number, min: number, max: number): void {
  if (!(value >= min && value <= max) || Math.floor(value) !== value) {
    throw outOfRangeError(name, value, min, max);
  }
}
