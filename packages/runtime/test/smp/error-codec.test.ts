import { readFileSync } from 'node:fs';
import { isDeepStrictEqual, types } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutOfMemoryError, SunstarError, SystemError, systemError } from '../../src/errors.ts';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';
import { Decoder } from '../../src/smp/codec/decoder.ts';
import { Encoder } from '../../src/smp/codec/encoder.ts';
import { registerErrorClass } from '../../src/smp/codec/error-classes.ts';

const memory = new ShardMemory(heapArena(4 * 1024 * 1024), { debug: false });

function copyOf<T>(value: T): T {
  const encoder = new Encoder(memory);
  encoder.begin();
  encoder.write(value, 'error');
  encoder.end(1, 1, 0, 0);
  const decoder = new Decoder();
  decoder.begin(memory.bytes, memory.arena.view, encoder.block);
  const copy = decoder.value();
  decoder.end();
  memory.free(encoder.block);
  expect(memory.stats().liveBlocks).toBe(0);
  return copy as T;
}

function thrownBy(body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

class QuotaError extends SunstarError {
  readonly used: number;
  constructor(used: number) {
    super('SUNSTAR_TEST_QUOTA', `used ${used}`);
    this.used = used;
  }
}

describe('errors', () => {
  it.each([
    new Error('plain'),
    new TypeError('type'),
    new RangeError('range', { cause: new SyntaxError('inner', { cause: 'text' }) }),
    new AggregateError([new URIError('one'), 2], 'several'),
    new SunstarError('SUNSTAR_X', 'ours', { cause: new EvalError('e') }),
    systemError('write', -28, '/data/log'),
    new OutOfMemoryError(4096, 17),
    thrownBy(() => readFileSync('/no/such/file')),
    thrownBy(() => (null as unknown as { x: number }).x),
    Object.assign(new Error('with'), { status: 404, details: { at: [1, 2] } }),
  ])('arrive as they were: %s', (error) => {
    const copy = copyOf(error);
    expect(Object.getPrototypeOf(copy)).toBe(Object.getPrototypeOf(error));
    expect(types.isNativeError(copy)).toBe(true);
    expect(copy.stack).toBe(error.stack);
    expect(copy.name).toBe(error.name);
    expect(Object.getOwnPropertyNames(copy).sort()).toEqual(Object.getOwnPropertyNames(error).sort());
    expect(Object.keys(copy)).toEqual(Object.keys(error));
    expect(isDeepStrictEqual(copy, error)).toBe(true);
  });

  it('keep messages and properties of every kind', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.jsonValue(), (message, value) => {
        const copy = copyOf(Object.assign(new RangeError(message), { value }));
        expect(copy.message).toBe(message);
        expect(isDeepStrictEqual(copy.value, value)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('arrive as trees of causes and parts, each with its class, code and fields', () => {
    class Unknown extends RangeError {}
    const makers = [
      (m: string) => new Error(m),
      (m: string) => new TypeError(m),
      (m: string) => new Unknown(m),
      (m: string) => new SunstarError('SUNSTAR_X', m),
      (m: string) => new SunstarError('SUNSTAR_Y', m, { syscall: 'read', errno: 5 }),
      (m: string) => systemError('open', -2, m),
      (m: string) => new DOMException(m, 'TimeoutError'),
      (m: string) => new DOMException(m, 'DataCloneError'),
    ];
    interface Tree {
      readonly maker: number;
      readonly message: string;
      readonly fields: Record<string, unknown>;
      readonly cause: Tree | undefined;
      readonly parts: Tree[] | undefined;
    }
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.record({
        maker: fc.nat(makers.length - 1),
        message: fc.string(),
        fields: fc.dictionary(fc.constantFrom('status', 'path', 'retryable', 'details'), fc.jsonValue()),
        cause: fc.option(tie('tree'), { nil: undefined, depthSize: 'small' }),
        parts: fc.option(fc.array(tie('tree'), { maxLength: 2 }), { nil: undefined, depthSize: 'small' }),
      }),
    }));
    const build = ({ maker, message, fields, cause, parts }: Tree): Error => {
      const error =
        parts === undefined ? makers[maker](message) : new AggregateError(parts.map(build), message);
      if (cause !== undefined) {
        Object.defineProperty(error, 'cause', { value: build(cause), configurable: true, writable: true });
      }
      return Object.assign(error, fields);
    };
    const check = (copy: Error, error: Error): void => {
      const known =
        error instanceof Unknown ? RangeError.prototype : (Object.getPrototypeOf(error) as object);
      expect(Object.getPrototypeOf(copy)).toBe(known);
      expect(copy.name).toBe(error instanceof Unknown ? 'Unknown' : error.name);
      expect(copy.message).toBe(error.message);
      expect(copy.stack).toBe(error.stack);
      expect((copy as { code?: unknown }).code).toBe((error as { code?: unknown }).code);
      expect(Object.keys(copy)).toEqual(Object.keys(error));
      for (const key of Object.keys(error)) {
        expect(isDeepStrictEqual(Reflect.get(copy, key), Reflect.get(error, key))).toBe(true);
      }
      expect(Object.hasOwn(copy, 'cause')).toBe(Object.hasOwn(error, 'cause'));
      if (Object.hasOwn(error, 'cause')) check(copy.cause as Error, error.cause as Error);
      if (!(error instanceof AggregateError)) return;
      const { errors } = copy as AggregateError;
      expect(errors).toHaveLength(error.errors.length);
      for (const [index, part] of error.errors.entries()) check(errors[index] as Error, part as Error);
    };
    fc.assert(
      fc.property(tree, (value) => {
        const error = build(value);
        check(copyOf(error), error);
      }),
      { numRuns: 30 },
    );
  });

  it('of a registered class arrive as that class, of others as the nearest known one with their name', () => {
    const before = copyOf<Error>(new QuotaError(5));
    expect(before).toBeInstanceOf(SunstarError);
    expect(before).not.toBeInstanceOf(QuotaError);
    expect(before).toMatchObject({
      name: 'QuotaError',
      code: 'SUNSTAR_TEST_QUOTA',
      used: 5,
      message: 'used 5',
    });
    registerErrorClass(QuotaError);
    registerErrorClass(QuotaError);
    expect(copyOf<Error>(new QuotaError(6))).toBeInstanceOf(QuotaError);

    class Unknown extends TypeError {}
    const unknown = copyOf<Error>(new Unknown('u'));
    expect(unknown).toBeInstanceOf(TypeError);
    expect(unknown.name).toBe('Unknown');
    class Named extends Error {
      override name = 'SpecialName';
    }
    expect(copyOf<Error>(new Named('n')).name).toBe('SpecialName');
    expect(copyOf<Error>(new SystemError('SUNSTAR_EIO', 'io')).name).toBe('SystemError');
  });

  it('refuse a second class of a registered name', () => {
    const other = { TypeError: class extends Error {} };
    expect(() => registerErrorClass(other.TypeError)).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_ERROR_CLASS_EXISTS' }),
    );
  });

  it('of an aborted operation keep their kind', () => {
    const copy = copyOf(new DOMException('stopped', 'AbortError'));
    expect(copy).toBeInstanceOf(DOMException);
    expect(copy).toMatchObject({ name: 'AbortError', message: 'stopped', code: 20 });
  });

  it('arrive without what cannot be cloned in them', () => {
    const original = Object.assign(new Error('m', { cause: { socket: () => {} } }), {
      code: 'E_X',
      request: { retry() {}, url: '/' },
      after: [1],
    });
    const copy = copyOf(original);
    expect(copy).toMatchObject({ message: 'm', code: 'E_X', after: [1] });
    expect(Object.hasOwn(copy, 'request')).toBe(false);
    expect(Object.hasOwn(copy, 'cause')).toBe(false);
  });

  it('may be their own cause', () => {
    const error = new Error('loop');
    error.cause = error;
    const copy = copyOf(error);
    expect(copy.cause).toBe(copy);
  });

  it('keep references to objects right after a property was left behind', () => {
    const shared = { a: 1 };
    const copy = copyOf(
      Object.assign(new Error('m'), { bad: { first: {}, second: () => {} }, good: shared, again: shared }),
    );
    expect(copy.good).toEqual({ a: 1 });
    expect(copy.again).toBe(copy.good);

    const many = Array.from({ length: 40 }, (_, id) => ({ id }));
    const large = copyOf(
      Object.assign(new Error('m'), { bad: [...many, () => {}], good: [...many, ...many] }),
    );
    expect(large.good).toEqual([...many, ...many]);
    expect(large.good[40]).toBe(large.good[0]);
  });
});
