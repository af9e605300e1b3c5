import { expect, test } from 'vitest';
import { handlerFailed } from '../src/errors.ts';

test('what a handler threw stands in the message as a sentence', () => {
  const said = (cause: unknown): string => handlerFailed(cause).message;
  const rest = ' The connection was reset. Catch the error in the handler to answer it.';
  expect(said(new Error('no such key'))).toBe(`A handler of the connection failed: no such key.${rest}`);
  // Messages of this library, and of many others, end with a period.
  expect(said(new Error('Raise the limit. \n'))).toBe(
    `A handler of the connection failed: Raise the limit.${rest}`,
  );
  expect(said(new Error('why?'))).toBe(`A handler of the connection failed: why?${rest}`);
  expect(said(new RangeError(''))).toBe(`A handler of the connection failed: RangeError.${rest}`);
  expect(said('text')).toBe(`A handler of the connection failed: text.${rest}`);
  expect(said(undefined)).toBe(`A handler of the connection failed: undefined.${rest}`);
  // Nothing that can be thrown makes the message itself fail.
  expect(said(Object.create(null))).toContain('[Object: null prototype] {}.');
  const cause = new Error('x');
  expect(handlerFailed(cause)).toMatchObject({ code: 'SUNSTAR_HANDLER_FAILED', cause });
});
