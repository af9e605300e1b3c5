import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Cursor, IOBuf } from '../src/index.js';
import { debugMemory, expectCode, pattern, runs } from './support.js';

const memory = debugMemory();

function fragmented(...parts: (Uint8Array | string)[]): IOBuf {
  const buffer = new IOBuf(memory);
  for (const part of parts) {
    using piece = IOBuf.from(part, memory);
    buffer.link(piece);
  }
  return buffer;
}

type Value = { kind: Kind; value: number };
type Kind = (typeof kinds)[number];
const kinds = [
  'U8',
  'U16LE',
  'U16BE',
  'U32LE',
  'U32BE',
  'I32LE',
  'I32BE',
  'U64LE',
  'U64BE',
  'F64LE',
  'F64BE',
] as const;

const numberOf: Record<string, fc.Arbitrary<number>> = {
  U8: fc.nat(255),
  U16: fc.nat(65535),
  U32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  I32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  U64: fc.maxSafeNat(),
  F64: fc.double({ noNaN: true }),
};

const value: fc.Arbitrary<Value> = fc
  .constantFrom(...kinds)
  .chain((kind) => fc.record({ kind: fc.constant(kind), value: numberOf[kind.replace(/[LB]E$/, '')] }));

/** The bytes of a value as Node's Buffer writes them. */
function encoded({ kind, value: n }: Value): Buffer {
  const bytes = Buffer.alloc(8);
  if (kind === 'U8') return bytes.subarray(0, bytes.writeUInt8(n));
  if (kind === 'U16LE') return bytes.subarray(0, bytes.writeUInt16LE(n));
  if (kind === 'U16BE') return bytes.subarray(0, bytes.writeUInt16BE(n));
  if (kind === 'U32LE') return bytes.subarray(0, bytes.writeUInt32LE(n));
  if (kind === 'U32BE') return bytes.subarray(0, bytes.writeUInt32BE(n));
  if (kind === 'I32LE') return bytes.subarray(0, bytes.writeInt32LE(n));
  if (kind === 'I32BE') return bytes.subarray(0, bytes.writeInt32BE(n));
  if (kind === 'U64LE') return bytes.subarray(0, bytes.writeBigUInt64LE(BigInt(n)));
  if (kind === 'U64BE') return bytes.subarray(0, bytes.writeBigUInt64BE(BigInt(n)));
  if (kind === 'F64LE') return bytes.subarray(0, bytes.writeDoubleLE(n));
  return bytes.subarray(0, bytes.writeDoubleBE(n));
}

describe('numbers', () => {
  test('typed appends write what Buffer writes, and reads read it across every border', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (values, cut) => {
        using written = new IOBuf(memory);
        for (const { kind, value: n } of values) written[`append${kind}`](n);
        const expected = Buffer.concat(values.map(encoded));
        expect(written.toBuffer().equals(expected)).toBe(true);
        const parts: Uint8Array[] = [];
        for (let at = 0; at < expected.length; at += cut) parts.push(expected.subarray(at, at + cut));
        for (const buffer of [written, fragmented(...parts)]) {
          const cursor = buffer.cursor();
          for (const { kind, value: n } of values) expect(cursor[`read${kind}`]()).toBe(n);
          expect(cursor.remaining).toBe(0);
          expect(cursor.position).toBe(expected.length);
          if (buffer !== written) buffer[Symbol.dispose]();
        }
      }),
    );
  });

  test('many typed appends fill fragment after fragment', () => {
    using buffer = new IOBuf(memory);
    for (let i = 0; i < 50_000; i++) buffer.appendU32LE(i);
    buffer.invariants();
    const cursor = buffer.cursor();
    for (let i = 0; i < 50_000; i++) if (cursor.readU32LE() !== i) throw new Error(`number ${i} differs`);
    expect(cursor.remaining).toBe(0);
  });

  test('64 bits beyond 2^53 − 1 are refused and leave the cursor', () => {
    for (const cut of [16, 3]) {
      const bytes = Buffer.alloc(16);
      bytes.writeBigUInt64LE(2n ** 53n, 0);
      bytes.writeBigUInt64BE(2n ** 64n - 1n, 8);
      using buffer = fragmented(bytes.subarray(0, cut), bytes.subarray(cut));
      const cursor = buffer.cursor();
      expectCode(() => cursor.readU64LE(), 'SUNSTAR_OUT_OF_RANGE');
      expect(cursor.position).toBe(0);
      cursor.skip(8);
      expectCode(() => cursor.readU64BE(), 'SUNSTAR_OUT_OF_RANGE');
      expect(cursor.position).toBe(8);
    }
  });

  test('values that do not fit are refused', () => {
    using buffer = new IOBuf(memory);
    for (const call of [
      () => buffer.appendU8(256),
      () => buffer.appendU16BE(65536),
      () => buffer.appendU32BE(2 ** 32),
      () => buffer.appendI32LE(2 ** 31),
      () => buffer.appendI32BE(-(2 ** 31) - 1),
      () => buffer.appendU64BE(2 ** 53),
    ]) {
      expectCode(call, 'SUNSTAR_OUT_OF_RANGE');
    }
    expectCode(() => buffer.appendF64LE('1' as unknown as number), 'SUNSTAR_INVALID_ARGUMENT');
    expect(buffer.isEmpty).toBe(true);
  });
});

/** What a read takes, where that does not follow from its argument. */
const SIZES: Record<string, number> = { u8: 1, peek: 1, u32: 4, grow: 0, seek: 0, indexOf: 0 };

test('every sequence of reads equals a plain byte array', () => {
  const action = fc.record({
    kind: fc.constantFrom(
      'skip',
      'seek',
      'string',
      'latin1',
      'iobuf',
      'into',
      'u8',
      'peek',
      'indexOf',
      'u32',
      'grow',
    ),
    n: fc.nat(60),
  });
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 25 }), { maxLength: 12 }),
      fc.array(action, { maxLength: 50, size: 'max' }),
      (parts, actions) => {
        using buffer = fragmented(...parts);
        let bytes = Buffer.concat(parts);
        const cursor = buffer.cursor();
        let at = 0;
        for (const { kind, n } of actions) {
          const needed = SIZES[kind] ?? n;
          const left = bytes.length - at;
          if (needed > left) {
            expectCode(() => act(cursor, kind, n), 'SUNSTAR_UNDERRUN');
          } else if (kind === 'grow') {
            buffer.append(pattern(n, n));
            bytes = Buffer.concat([bytes, pattern(n, n)]);
          } else if (kind === 'seek') {
            at = Math.floor((n / 60) * bytes.length);
            cursor.seek(at);
          } else {
            expect(act(cursor, kind, n)).toEqual(expected(bytes.subarray(at), kind, n));
            if (kind !== 'peek') at += needed;
          }
          expect(cursor.position).toBe(at);
          expect(cursor.remaining).toBe(bytes.length - at);
        }
      },
    ),
    { numRuns: runs(300) },
  );

  function act(cursor: Cursor, kind: string, n: number): unknown {
    if (kind === 'skip') return cursor.skip(n);
    if (kind === 'string') return cursor.readString(n);
    if (kind === 'latin1') return cursor.readString(n, 'latin1');
    if (kind === 'u8') return cursor.readU8();
    if (kind === 'peek') return cursor.peekU8();
    if (kind === 'u32') return cursor.readU32BE();
    if (kind === 'indexOf') return [cursor.indexOf(n), cursor.indexOf(Uint8Array.of(n, n + 1))];
    if (kind === 'into') {
      const target = Buffer.alloc(n);
      cursor.readInto(target);
      return target;
    }
    using shared = cursor.readIOBuf(n);
    return shared.toBuffer();
  }

  function expected(rest: Buffer, kind: string, n: number): unknown {
    if (kind === 'skip') return undefined;
    if (kind === 'string') return rest.toString('utf8', 0, n);
    if (kind === 'latin1') return rest.toString('latin1', 0, n);
    if (kind === 'u8' || kind === 'peek') return rest[0];
    if (kind === 'u32') return rest.readUInt32BE(0);
    if (kind === 'indexOf') return [rest.indexOf(n), rest.indexOf(Uint8Array.of(n, n + 1))];
    return rest.subarray(0, n);
  }
});

describe('a buffer that changes under its cursor', () => {
  test('may grow, from empty too', () => {
    using buffer = new IOBuf(memory);
    const cursor = buffer.cursor();
    expectCode(() => cursor.readU8(), 'SUNSTAR_UNDERRUN');
    buffer.append('a');
    expect(cursor.readU8()).toBe(97);
    buffer.append('b');
    expect(cursor.peekU8()).toBe(98);
    buffer.append(pattern(5000));
    cursor.skip(1);
    expect(cursor.remaining).toBe(5000);
    const target = Buffer.alloc(5000);
    cursor.readInto(target);
    expect(target.equals(pattern(5000))).toBe(true);
  });

  test.each<[string, (buffer: IOBuf) => unknown]>([
    ['trimFront', (buffer) => buffer.trimFront(1)],
    ['trimBack', (buffer) => buffer.trimBack(1)],
    ['clear', (buffer) => buffer.clear()],
    ['prepend', (buffer) => buffer.prepend('x')],
    ['take', (buffer) => new IOBuf(memory).take(buffer)],
  ])('%s is an error until reset', (_name, change) => {
    using buffer = IOBuf.from('0123456789', memory);
    const cursor = buffer.cursor();
    cursor.skip(2);
    change(buffer);
    const reads = [
      () => cursor.readU8(),
      () => cursor.peekU8(),
      () => cursor.readU16LE(),
      () => cursor.readU32LE(),
      () => cursor.readF64BE(),
      () => cursor.readString(1),
      () => cursor.readIOBuf(1),
      () => cursor.readInto(new Uint8Array(1)),
      () => cursor.skip(0),
      () => cursor.seek(0),
      () => cursor.indexOf(1),
      () => cursor.remaining,
    ];
    for (const read of reads) expectCode(read, 'SUNSTAR_IOBUF_MODIFIED');
    cursor.reset();
    expect(cursor.position).toBe(0);
    expect(cursor.remaining).toBe(buffer.sizeBytes);
    if (!buffer.isEmpty) expect(cursor.readU8()).toBe(buffer.byteAt(0));
  });

  test('disposed is an error for good, even when the insides serve another buffer', () => {
    const buffer = IOBuf.from('0123456789', memory);
    const cursor = buffer.cursor();
    buffer[Symbol.dispose]();
    using other = IOBuf.from('0123456789', memory);
    expectCode(() => cursor.readU8(), 'SUNSTAR_IOBUF_DISPOSED');
    expectCode(() => cursor.readU32LE(), 'SUNSTAR_IOBUF_DISPOSED');
    expectCode(() => cursor.reset(), 'SUNSTAR_IOBUF_DISPOSED');
    expectCode(() => cursor.remaining, 'SUNSTAR_IOBUF_DISPOSED');
    expect(other.sizeBytes).toBe(10);
  });
});

test('bad arguments', () => {
  using buffer = IOBuf.from('0123456789', memory);
  const cursor = buffer.cursor();
  for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expectCode(() => cursor.skip(bad), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => cursor.seek(bad), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => cursor.readString(bad), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => cursor.readIOBuf(bad), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => cursor.indexOf(bad), 'SUNSTAR_OUT_OF_RANGE');
  }
  expectCode(() => cursor.seek(11), 'SUNSTAR_OUT_OF_RANGE');
  expectCode(() => cursor.indexOf('x' as unknown as number), 'SUNSTAR_INVALID_ARGUMENT');
  expect(cursor.position).toBe(0);
});
