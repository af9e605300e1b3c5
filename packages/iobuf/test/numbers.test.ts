import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IOBuf } from '../src/index.js';
import { debugMemory, expectCode, runs } from './support.js';

const memory = debugMemory();
const U64 = 2n ** 64n - 1n;

/** A kind of number: its name in the methods, what it can hold, and how a DataView stores it. */
interface Kind {
  readonly name: string;
  readonly sizeBytes: number;
  readonly values: fc.Arbitrary<number | bigint>;
  readonly store: (view: DataView, value: number | bigint, littleEndian: boolean) => void;
  readonly tooMuch: readonly unknown[];
}

const safe = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, -1, 0),
);
const bigU = fc.bigInt({ min: 0n, max: U64 });
const bigI = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

const kinds: Kind[] = [
  {
    name: 'U16',
    sizeBytes: 2,
    values: fc.nat(0xffff),
    store: (v, n, le) => v.setUint16(0, Number(n), le),
    tooMuch: [-1, 65536, 0.5, Number.NaN, '1'],
  },
  {
    name: 'I16',
    sizeBytes: 2,
    values: fc.integer({ min: -32768, max: 32767 }),
    store: (v, n, le) => v.setInt16(0, Number(n), le),
    tooMuch: [-32769, 32768, 0.5],
  },
  {
    name: 'U32',
    sizeBytes: 4,
    values: fc.nat(0xffff_ffff),
    store: (v, n, le) => v.setUint32(0, Number(n), le),
    tooMuch: [-1, 2 ** 32, 1e300],
  },
  {
    name: 'I32',
    sizeBytes: 4,
    values: fc.integer(),
    store: (v, n, le) => v.setInt32(0, Number(n), le),
    tooMuch: [2 ** 31, -(2 ** 31) - 1, Number.NaN],
  },
  {
    name: 'U64',
    sizeBytes: 8,
    values: safe.map(Math.abs),
    store: (v, n, le) => v.setBigUint64(0, BigInt(n), le),
    tooMuch: [-1, 2 ** 53, Number.POSITIVE_INFINITY],
  },
  {
    name: 'I64',
    sizeBytes: 8,
    values: safe,
    store: (v, n, le) => v.setBigInt64(0, BigInt(n), le),
    tooMuch: [2 ** 53, -(2 ** 53), 1.5],
  },
  {
    name: 'BigU64',
    sizeBytes: 8,
    values: bigU,
    store: (v, n, le) => v.setBigUint64(0, BigInt(n), le),
    tooMuch: [-1n, U64 + 1n, 1],
  },
  {
    name: 'BigI64',
    sizeBytes: 8,
    values: bigI,
    store: (v, n, le) => v.setBigInt64(0, BigInt(n), le),
    tooMuch: [2n ** 63n, -(2n ** 63n) - 1n, 1],
  },
  {
    name: 'F32',
    sizeBytes: 4,
    values: fc.float(),
    store: (v, n, le) => v.setFloat32(0, Number(n), le),
    tooMuch: ['1', undefined],
  },
  {
    name: 'F64',
    sizeBytes: 8,
    values: fc.double(),
    store: (v, n, le) => v.setFloat64(0, Number(n), le),
    tooMuch: ['1', null],
  },
];

type Methods = Record<string, (...args: unknown[]) => unknown>;

function methods(object: object): Methods {
  return object as Methods;
}

function stored(kind: Kind, value: number | bigint, littleEndian: boolean): Buffer {
  const bytes = Buffer.alloc(kind.sizeBytes);
  kind.store(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), value, littleEndian);
  return bytes;
}

/** The same content in fragments of one byte each. */
function shredded(bytes: Uint8Array): IOBuf {
  const buffer = new IOBuf(memory);
  for (const byte of bytes) {
    using one = IOBuf.from(Uint8Array.of(byte), memory);
    buffer.link(one);
  }
  return buffer;
}

describe.each(kinds)('$name', (kind) => {
  test.each([true, false])(
    'little endian %s: written and read in every way like a DataView does it',
    (littleEndian) => {
      const suffix = kind.name + (littleEndian ? 'LE' : 'BE');
      fc.assert(
        fc.property(kind.values, fc.nat(9), (value, skip) => {
          const expected = stored(kind, value, littleEndian);
          using appended = IOBuf.from(Buffer.alloc(skip), memory);
          methods(appended)[`append${suffix}`](value);
          expect(appended.toBuffer().subarray(skip)).toEqual(expected);

          using written = new IOBuf(memory);
          const writer = written.writer(64);
          methods(writer)[`append${suffix}`](value);
          writer.flush();
          expect(written.toBuffer()).toEqual(expected);

          using reserved = new IOBuf(memory);
          const hole = reserved.placeholder(skip + kind.sizeBytes);
          methods(hole)[`set${suffix}`](value, skip);
          expect(reserved.toBuffer().subarray(skip)).toEqual(expected);

          using pieces = shredded(expected);
          for (const source of [written, pieces]) {
            const cursor = source.cursor();
            const read = methods(cursor)[`read${suffix}`]();
            expect(stored(kind, read as number, littleEndian)).toEqual(expected);
            expect(cursor.remaining).toBe(0);
            expectCode(() => methods(cursor)[`read${suffix}`](), 'SUNSTAR_UNDERRUN');
          }
        }),
        { numRuns: runs(60) },
      );
    },
  );

  test('refuses what it cannot hold, and changes nothing', () => {
    using buffer = IOBuf.from('x', memory);
    const hole = buffer.placeholder(8);
    for (const value of kind.tooMuch) {
      for (const suffix of ['LE', 'BE']) {
        expect(() => methods(buffer)[`append${kind.name}${suffix}`](value)).toThrow(/SUNSTAR|must be|is /);
        expect(() => methods(hole)[`set${kind.name}${suffix}`](value)).toThrow(/must be|is /);
      }
    }
    expect(buffer.sizeBytes).toBe(9);
    for (const at of [8, 9 - kind.sizeBytes, -1, 0.5, Number.NaN]) {
      if (at === 1) continue;
      expectCode(
        () => methods(hole)[`set${kind.name}LE`](kind.name.startsWith('Big') ? 1n : 1, at),
        'SUNSTAR_OUT_OF_RANGE',
      );
    }
  });
});

test('single bytes, signed and not', () => {
  using buffer = new IOBuf(memory);
  const hole = buffer.placeholder(2);
  for (let value = -128; value < 256; value++) {
    if (value < 128) {
      buffer.appendI8(value);
      hole.setI8(value, 0);
    }
    if (value >= 0) {
      buffer.appendU8(value);
      hole.setU8(value, 1);
    }
    const cursor = buffer.cursor();
    if (value >= 0) {
      cursor.seek(buffer.sizeBytes - 1);
      expect(cursor.peekU8()).toBe(value);
      expect(cursor.readU8()).toBe(value);
    } else {
      cursor.seek(buffer.sizeBytes - 1);
      expect(cursor.readI8()).toBe(value);
    }
  }
  for (const value of [-129, 128, 0.1]) expectCode(() => buffer.appendI8(value), 'SUNSTAR_OUT_OF_RANGE');
  for (const value of [-1, 256, Number.NaN]) expectCode(() => buffer.appendU8(value), 'SUNSTAR_OUT_OF_RANGE');
});

describe('varints', () => {
  /** Unsigned LEB128 from its definition. */
  function leb128(value: bigint): Buffer {
    const bytes: number[] = [];
    let rest = value;
    do {
      bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
      rest >>= 7n;
    } while (rest > 0n);
    return Buffer.from(bytes);
  }

  const zigZag = (value: bigint): bigint => BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  const edges = fc.nat(63).map((bits) => 2n ** BigInt(bits));

  test('of 64 bits: encoded as defined, decoded back, however they are cut', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          bigU,
          edges,
          edges.map((edge) => edge - 1n),
        ),
        fc.oneof(
          bigI,
          edges.map((edge) => -edge),
        ),
        (u, i) => {
          using buffer = new IOBuf(memory);
          buffer.appendBigVarint(u).appendBigZigZag(i);
          expect(buffer.toBuffer()).toEqual(Buffer.concat([leb128(u), leb128(zigZag(i))]));
          using pieces = shredded(buffer.toBuffer());
          const cursor = pieces.cursor();
          expect(cursor.readBigVarint()).toBe(u);
          expect(cursor.readBigZigZag()).toBe(i);
          expectCode(() => cursor.readBigVarint(), 'SUNSTAR_UNDERRUN');
        },
      ),
    );
  });

  test('of 53 bits, as numbers', () => {
    const half = 2 ** 52;
    fc.assert(
      fc.property(
        fc.oneof(safe.map(Math.abs), fc.nat(300)),
        fc.oneof(
          fc.integer({ min: -half, max: half - 1 }),
          fc.constantFrom(-half, half - 1, -1, 0, 63, 64, -64, -65),
        ),
        fc.integer({ min: 8, max: 10 }),
        (u, i, width) => {
          using buffer = new IOBuf(memory);
          buffer.appendVarint(u).appendZigZag(i);
          expect(buffer.toBuffer()).toEqual(Buffer.concat([leb128(BigInt(u)), leb128(zigZag(BigInt(i)))]));
          const hole = buffer.placeholder(2 * width);
          hole.setVarint(u, 0, width);
          hole.setZigZag(i, width);
          const cursor = buffer.cursor();
          for (let time = 0; time < 2; time++) {
            expect(cursor.readVarint()).toBe(u);
            expect(cursor.readZigZag()).toBe(i === 0 ? 0 : i);
          }
          expect(cursor.remaining).toBe(0);
        },
      ),
    );
  });

  test('that are broken move nothing', () => {
    using endless = IOBuf.from(Buffer.alloc(20, 0xff), memory);
    using wide = IOBuf.from(Buffer.from('ffffffffffffffffff01', 'hex'), memory);
    using tooWide = IOBuf.from(Buffer.from('ffffffffffffffffff02', 'hex'), memory);
    using cutOff = IOBuf.from(Buffer.from('8080', 'hex'), memory);
    const cursor = endless.cursor();
    cursor.readU8();
    expectCode(() => cursor.readBigVarint(), 'SUNSTAR_INVALID_VARINT');
    expectCode(() => cursor.readVarint(), 'SUNSTAR_OUT_OF_RANGE');
    expect(cursor.position).toBe(1);
    expect(wide.cursor().readBigVarint()).toBe(U64);
    expectCode(() => wide.cursor().readVarint(), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => tooWide.cursor().readBigVarint(), 'SUNSTAR_INVALID_VARINT');
    const short = cutOff.cursor();
    expectCode(() => short.readVarint(), 'SUNSTAR_UNDERRUN');
    expectCode(() => short.readBigVarint(), 'SUNSTAR_UNDERRUN');
    expect(short.position).toBe(0);
    for (const value of [-1, 2 ** 53, 0.5])
      expectCode(() => endless.appendVarint(value), 'SUNSTAR_OUT_OF_RANGE');
    for (const value of [2 ** 52, -(2 ** 52) - 1, Number.NaN]) {
      expectCode(() => endless.appendZigZag(value), 'SUNSTAR_OUT_OF_RANGE');
    }
    const hole = endless.placeholder(4);
    expectCode(() => hole.setVarint(2 ** 28), 'SUNSTAR_OUT_OF_RANGE');
    hole.setVarint(2 ** 28 - 1);
    expectCode(() => hole.setVarint(1, 0, 5), 'SUNSTAR_OUT_OF_RANGE');
  });
});

describe('a writer', () => {
  test('writes what appends write, whatever its chunks are', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 64, max: 4096 }),
        fc.array(
          fc.oneof(
            fc.nat(0xffff_ffff),
            fc.string({ unit: 'grapheme', maxLength: 60 }),
            fc.uint8Array({ maxLength: 3000 }),
          ),
          { maxLength: 60 },
        ),
        (chunkBytes, fields) => {
          using plain = new IOBuf(memory);
          using buffer = new IOBuf(memory);
          const writer = buffer.writer(chunkBytes);
          for (const field of fields) {
            if (typeof field === 'number') {
              plain.appendU32BE(field).appendVarint(field);
              writer.appendU32BE(field).appendVarint(field);
            } else {
              plain.append(field);
              writer.append(field);
            }
          }
          expect(buffer.sizeBytes + writer.unflushedBytes).toBe(plain.sizeBytes);
          writer.flush();
          expect(buffer.equals(plain)).toBe(true);
          buffer.invariants();
        },
      ),
    );
  });

  test('notices that its buffer was changed, and never writes over what came between', () => {
    using buffer = IOBuf.from('start', memory);
    const writer = buffer.writer();
    writer.appendU32BE(1);
    buffer.append('between');
    expectCode(() => writer.appendU32BE(2), 'SUNSTAR_IOBUF_MODIFIED');
    writer.append('after').flush();
    expect(buffer.toString()).toBe('startbetweenafter');
    const first = buffer.writer();
    const second = buffer.writer();
    first.appendU8(1);
    second.appendU8(2);
    expectCode(() => first.appendU8(3), 'SUNSTAR_IOBUF_MODIFIED');
    second.flush();
    expect(buffer.byteAt(buffer.sizeBytes - 1)).toBe(2);
    const late = buffer.writer();
    late.appendU8(1);
    buffer[Symbol.dispose]();
    expectCode(() => late.flush(), 'SUNSTAR_IOBUF_DISPOSED');
    expectCode(() => late.appendU32BE(1), 'SUNSTAR_IOBUF_DISPOSED');
    for (const size of [0, 63, 131073, 1.5]) {
      using other = new IOBuf(memory);
      expectCode(() => other.writer(size), 'SUNSTAR_OUT_OF_RANGE');
    }
  });
});
