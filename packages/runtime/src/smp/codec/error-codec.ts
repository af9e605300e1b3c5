import { fileURLToPath } from 'node:url';
import type { Decoder } from './decoder.js';
import type { Encoder } from './encoder.js';
import { classNamesOf, errorClassNamed } from './error-classes.js';
import { TAG_ERROR } from './tags.js';

/*
 *   error = ERROR count:u32 class:string* name:string message:string (key:string value)* UNDEFINED
 *
 * The classes are the error's own and its ancestors', nearest first: the receiver takes the first that it
 * knows. The members are stack, cause, errors and the own enumerable properties.
 */

/** Frames from this file on down are the runtime's, not the service's. Some tools print paths for URLs. */
const INVOKE_URL = new URL('../invoke.', import.meta.url);
const INVOKE_FRAMES: readonly string[] = [INVOKE_URL.href, fileURLToPath(INVOKE_URL)];

/** Writes an error. Properties that cannot be cloned stay behind, because an error has to arrive. */
export function encodeError(encoder: Encoder, error: Error): void {
  const names = classNamesOf(error);
  encoder.counted(TAG_ERROR, names.length);
  for (const name of names) encoder.string(name);
  encoder.string(String(error.name));
  encoder.string(String(error.message));
  const { stack } = error;
  if (typeof stack === 'string') encoder.attempt('stack', withoutRuntimeFrames(stack));
  if (Object.hasOwn(error, 'cause')) encoder.attempt('cause', error.cause);
  if (Object.hasOwn(error, 'errors')) encoder.attempt('errors', (error as AggregateError).errors);
  for (const key of Object.keys(error)) {
    if (key === 'stack' || key === 'cause' || key === 'errors' || key === 'name' || key === 'message')
      continue;
    encoder.attempt(key, (error as unknown as Record<string, unknown>)[key]);
  }
  encoder.value(undefined);
}

/** Reads an error, after its tag and the number of its classes. */
export function decodeError(decoder: Decoder, classCount: number): Error {
  const names: string[] = [];
  for (let index = 0; index < classCount; index++) names.push(decoder.value() as string);
  const name = decoder.value() as string;
  const message = decoder.value() as string;
  const error = revive(names, name, message);
  decoder.began(error);
  for (;;) {
    const key = decoder.value();
    if (typeof key !== 'string') return error;
    const enumerable = key !== 'stack' && key !== 'cause' && key !== 'errors';
    Object.defineProperty(error, key, {
      value: decoder.value(),
      writable: true,
      configurable: true,
      enumerable,
    });
  }
}

function revive(names: readonly string[], name: string, message: string): Error {
  // Its name and code are in internal slots that only its constructor fills.
  if (names[0] === 'DOMException') return new DOMException(message, name);
  const { stackTraceLimit } = Error;
  // The stack arrives in the message; capturing this one would only cost time.
  Error.stackTraceLimit = 0;
  const error = new Error(message);
  Error.stackTraceLimit = stackTraceLimit;
  const known = names.find((candidate) => errorClassNamed(candidate) !== undefined) ?? 'Error';
  const errorClass = errorClassNamed(known);
  if (errorClass !== undefined) Object.setPrototypeOf(error, errorClass.prototype as object);
  // A class that is unknown here and never set a name of its own would lose its identity.
  const right = known !== names[0] && name === known && names.length > 0 ? names[0] : name;
  if (error.name !== right) {
    Object.defineProperty(error, 'name', {
      value: right,
      writable: true,
      configurable: true,
      enumerable: false,
    });
  }
  return error;
}

function withoutRuntimeFrames(stack: string): string {
  for (const frame of INVOKE_FRAMES) {
    const at = stack.indexOf(frame);
    if (at >= 0) return stack.slice(0, Math.max(0, stack.lastIndexOf('\n', at)));
  }
  return stack;
}
