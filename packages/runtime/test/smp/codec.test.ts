import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SunstarError } from '../../src/errors.ts';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';
import { Decoder } from '../../src/smp/codec/decoder.ts';
import { Encoder } from '../../src/smp/codec/encoder.ts';
import { INLINE_BYTES, offsetOf, PAYLOAD_BYTES_AT } from '../../src/smp/message.ts';

const memory = new ShardMemory(heapArena(64 * 1024 * 1024), { debug: false });
const encoder = new Encoder(memory);
const decoder = new Decoder();

/** There and back; also says whether the values fitted into the slot. */
function roundTrip(...values: unknown[]): { copies: unknown[]; inline: boolean } {
  encoder.begin();
  for (const value of values) encoder.write(value, 'arguments');
  const words = encoder.end(1, values.length, 0, 0);
  const inline = encoder.block < 0;
  if (inline) {
    const bytes = Buffer.from(encoder.image.slice(0, words).buffer);
    decoder.begin(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), PAYLOAD_BYTES_AT);
  } else {
    expect(words * 4).toBe(PAYLOAD_BYTES_AT);
    decoder.begin(memory.bytes, memory.arena.view, offsetOf(encoder.image[3]));
  }
  const copies = values.map(() => decoder.value());
  decoder.end();
  if (!inline) memory.free(encoder.block);
  expect(memory.stats().liveBlocks).toBe(0);
  return { copies, inline };
}

function copyOf<T>(value: T): T {
  return roundTrip(value).copies[0] as T;
}

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  // Any 16-bit units: lone surrogates too.
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 90 })
    .map((codes) => String.fromCharCode(...codes)),
  fc.integer({ min: 0, max: 300 }).map((length) => 'é'.repeat(length)),
);
const numbers = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, Number.NaN, 2 ** 31, -(2 ** 31), 2 ** 31 - 1, -(2 ** 31) - 1, 2 ** 53),
);
const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
const leaf = fc.oneof(
  numbers,
  text,
  fc.boolean(),
  fc.constantFrom(null, undefined),
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }),
  fc.date({ noInvalidDate: false }),
  bytes,
  fc.float64Array({ maxLength: 9 }),
  fc.int16Array({ maxLength: 9 }),
  fc.uint8ClampedArray({ maxLength: 9 }),
  fc.bigInt64Array({ maxLength: 5 }),
  bytes.map((buffer) => new Uint8Array(buffer).buffer),
  bytes.map((buffer) => new DataView(new Uint8Array(buffer).buffer)),
  fc.constantFrom(/a+/giu, /[/]\n/),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    tie('array'),
    tie('object'),
    tie('map'),
    tie('set'),
  ),
  array: fc.oneof(fc.array(tie('tree'), { maxLength: 6 }), fc.sparseArray(tie('tree'), { maxLength: 12 })),
  object: fc.dictionary(fc.oneof(text, fc.constantFrom('__proto__', 'id', 'name', '')), tie('tree'), {
    maxKeys: 6,
    noNullPrototype: true,
  }),
  map: fc.array(fc.tuple(tie('tree'), tie('tree')), { maxLength: 4 }).map((entries) => new Map(entries)),
  set: fc.array(tie('tree'), { maxLength: 4 }).map((members) => new Set(members)),
}));

describe('Encoder and Decoder', () => {
  it('bring every plain value back', () => {
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 4 }), (values) => {
        const { copies } = roundTrip(...values);
        if (!isDeepStrictEqual(copies, values)) expect(copies).toEqual(values);
        expect(isDeepStrictEqual(copies, values)).toBe(true);
      }),
      { numRuns: 700 },
    );
  });

  it('keep identity: an object that is there twice arrives once, cycles close', () => {
    const graphs = fc.array(fc.array(fc.nat(39), { maxLength: 4 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(graphs, fc.boolean(), (edges, asMaps) => {
        const nodes = edges.map((_, id) => (asMaps ? new Map<unknown, unknown>([['id', id]]) : { id }));
        const put = (node: object, key: string, value: unknown): void => {
          if (node instanceof Map) node.set(key, value);
          else Object.assign(node, { [key]: value });
        };
        edges.forEach((targets, from) => {
          targets.forEach((to, index) => {
            put(nodes[from], `to${index}`, nodes[to % nodes.length]);
          });
        });
        const copy = copyOf(nodes);
        expect(isDeepStrictEqual(copy, nodes)).toBe(true);
        // The same object wherever the original is the same.
        const twin = new Map<unknown, unknown>();
        const walk = (original: unknown, other: unknown): void => {
          if (typeof original !== 'object' || original === null) return;
          if (twin.has(original)) {
            expect(twin.get(original)).toBe(other);
            return;
          }
          twin.set(original, other);
          const members = (value: object): [unknown, unknown][] =>
            value instanceof Map ? [...value] : Object.entries(value);
          const copies = members(other as object);
          members(original).forEach(([, member], index) => {
            walk(member, copies[index][1]);
          });
        };
        walk(nodes, copy);
        expect(new Set(twin.values()).size).toBe(twin.size);
      }),
      { numRuns: 200 },
    );
  });

  it('put small payloads into the slot and all others into one block', () => {
    const free = memory.stats().freeBytes;
    expect(roundTrip('key:000042', 7, true).inline).toBe(true);
    expect(roundTrip('x'.repeat(INLINE_BYTES - 2)).inline).toBe(true);
    expect(roundTrip('x'.repeat(INLINE_BYTES - 1)).inline).toBe(false);
    expect(roundTrip(1, 2, 3, 4, 5, 6, 7, 8, 9).inline).toBe(true);
    expect(roundTrip(1, 2, 3, 4, 5, 6, 7, 8, 9, 10).inline).toBe(false);
    expect(roundTrip(Buffer.alloc(100_000, 5)).copies[0]).toEqual(Buffer.alloc(100_000, 5));
    expect(memory.stats().freeBytes).toBe(free);
  });

  it('bring back what is long: text of every width, many members', () => {
    for (const sample of ['a', 'é', 'ж', '😀', '\ud800']) {
      for (const length of [1, 63, 64, 65, 255, 256, 70_000]) {
        const long = sample.repeat(length);
        expect(copyOf(long) === long).toBe(true);
        expect(copyOf({ [long]: 1 })).toEqual({ [long]: 1 });
      }
    }
    const wide = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`key${index}`, { index }]));
    expect(isDeepStrictEqual(copyOf(wide), wide)).toBe(true);
  });

  it('copy byte arrays to Buffers, whatever memory they were in', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(4));
    shared.set([1, 2, 3, 4]);
    expect(copyOf<Uint8Array>(shared)).toEqual(Buffer.from([1, 2, 3, 4]));
    const original = new Uint8Array([9, 8, 7]).subarray(1);
    const copy = copyOf(original);
    expect(Buffer.isBuffer(copy)).toBe(true);
    original[0] = 0;
    expect([...copy]).toEqual([8, 7]);
  });

  it('send objects of classes as plain objects, and leave the rest to the structured clone', () => {
    class Point {
      x = 1;
      #secret = 2;
      sum(): number {
        return this.x + this.#secret;
      }
    }
    expect(copyOf<object>(new Point())).toStrictEqual({ x: 1 });
    expect(copyOf<object>(new (class Empty {})())).toStrictEqual({});
    expect(copyOf(Object(5))).toStrictEqual(Object(5));
    expect(copyOf([Object('a'), Object(true)])).toStrictEqual([Object('a'), Object(true)]);
    expect(copyOf(Object.assign(Object.create(null) as object, { a: 1 }))).toStrictEqual({ a: 1 });
  });

  it('do not let a name change what an object is', () => {
    const hostile = JSON.parse('{"__proto__": {"admin": true}}') as object;
    const copy = copyOf(hostile);
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(Object.keys(copy)).toEqual(['__proto__']);
  });

  const refused: [string, unknown, string][] = [
    ['a function', () => {}, 'arguments cannot go to another shard: it is a function without a name'],
    ['a named function', { on: { done: function finish() {} } }, 'arguments.on.done .* the function finish'],
    ['a class', [1, class Shape {}], 'arguments\\[1\\] .* the class Shape'],
    ['a symbol', { 'odd key': Symbol('s') }, 'arguments\\["odd key"\\] .* the symbol Symbol\\(s\\)'],
    ['a promise', new Map([['k', [Promise.resolve()]]]), 'arguments<value 0>\\[0\\] .* a promise'],
    ['a key of a map', new Map([[Symbol.iterator, 1]]), 'arguments<key 0> .* the symbol'],
    ['a member of a set', new Set([1, new WeakMap()]), 'arguments<member 1> .* of type WeakMap'],
    ['a generator', { rows: (function* rows() {})() }, 'arguments.rows'],
    ['shared memory', { block: new SharedArrayBuffer(8) }, 'arguments.block .* of type SharedArrayBuffer'],
  ];
  it.each(refused)('refuse %s and say where it is', (_, value, message) => {
    encoder.begin();
    encoder.write('x'.repeat(1000), 'arguments');
    let thrown: unknown;
    try {
      encoder.write(value, 'arguments');
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(SunstarError);
    expect(thrown).toMatchObject({ code: 'SUNSTAR_NOT_CLONEABLE' });
    expect((thrown as Error).message).toMatch(new RegExp(message));
    expect(encoder.busy).toBe(false);
    expect(memory.stats().liveBlocks).toBe(0);
    expect(copyOf([1, { a: 2 }])).toEqual([1, { a: 2 }]);
  });

  it('refuse what is too deep or too large, and give all memory back', () => {
    const small = new Encoder(memory, { maxMessageBytes: 1000, maxDepth: 3 });
    const attempt = (value: unknown): unknown => {
      small.begin();
      try {
        small.write(value, 'result');
      } catch (error) {
        return (error as SunstarError).code;
      } finally {
        small.abort();
      }
      return 'fits';
    };
    expect(attempt([[[1]]])).toBe('fits');
    expect(attempt([[[[1]]]])).toBe('SUNSTAR_MESSAGE_TOO_DEEP');
    expect(attempt(Buffer.alloc(994))).toBe('fits');
    expect(attempt(Buffer.alloc(995))).toBe('SUNSTAR_MESSAGE_TOO_LARGE');
    expect(attempt('x'.repeat(2000))).toBe('SUNSTAR_MESSAGE_TOO_LARGE');
    expect(attempt(new Array(1e9))).toBe('SUNSTAR_MESSAGE_TOO_LARGE');
    expect(memory.stats().liveBlocks).toBe(0);
  });

  it('pass on what a getter throws, and stay usable', () => {
    const trap = {
      filler: 'x'.repeat(100),
      get trap(): never {
        throw new RangeError('trapped');
      },
    };
    encoder.begin();
    expect(() => encoder.write(trap, 'arguments')).toThrow(new RangeError('trapped'));
    expect(memory.stats().liveBlocks).toBe(0);
    expect(copyOf('after')).toBe('after');
  });

  it('survive a map and an array that change while they are written', () => {
    const map = new Map<string, unknown>();
    map.set('a', {
      get b() {
        map.set('c', 1);
        return 2;
      },
    });
    expect([...copyOf(map).keys()]).toEqual(['a']);
    const array: unknown[] = [
      {
        get shorter() {
          array.length = 1;
          return true;
        },
      },
      2,
      3,
    ];
    expect(copyOf(array).length).toBe(3);
  });
});
