import { SunstarError } from '@sunstar/runtime';
import type { TextEncoding } from './content.js';
import { invalidArgumentError } from './errors.js';
import type { IOBuf } from './iobuf.js';

/**
 * Appends a value as JSON text.
 *
 * @throws SunstarError SUNSTAR_INVALID_ARGUMENT for what JSON has no text for: undefined, functions, symbols,
 *   bigints and cycles.
 */
export function appendJson(buffer: IOBuf, value: unknown): IOBuf {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new SunstarError('SUNSTAR_INVALID_ARGUMENT', `The value has no JSON text: ${String(cause)}`, {
      cause,
    });
  }
  if (text === undefined) throw invalidArgumentError('value', 'something that JSON can express', value);
  return buffer.append(text);
}

/**
 * The content as a JSON value.
 *
 * @throws SunstarError SUNSTAR_INVALID_JSON, SUNSTAR_INVALID_UTF8
 */
export function parseJson(buffer: IOBuf): unknown {
  const text = buffer.toString('utf8-strict');
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new SunstarError(
      'SUNSTAR_INVALID_JSON',
      `${buffer.sizeBytes} bytes are no JSON text: ${(cause as Error).message}. Is all of it there?`,
      { cause },
    );
  }
}

/**
 * The lines of the content, without their ends (`\n` or `\r\n`); what follows the last end is a line too unless it
 * is empty. Decodes line by line, so a character may lie across fragments.
 */
export function* lines(buffer: IOBuf, encoding: TextEncoding = 'utf8'): Generator<string, void, undefined> {
  let start = 0;
  while (start < buffer.sizeBytes) {
    const found = buffer.indexOf(0x0a, start);
    const end = found < 0 ? buffer.sizeBytes : found;
    const hasReturn = found > start && buffer.byteAt(found - 1) === 0x0d;
    yield buffer.toString(encoding, start, hasReturn ? end - 1 : end);
    start = end + 1;
  }
}
