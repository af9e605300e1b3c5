import { SunstarError } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IOBuf } from '../src/index.js';
import { debugMemory, expectCode, pattern, runs } from './support.js';

const memory = debugMemory();

/** No place in a buffer of 10 bytes. */
const BAD: readonly number[] = [
  -1,
  0.5,
  Number.NaN,
  11,
  2 ** 31,
  2 ** 53,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];

const takesPlaces: Record<string, (buffer: IOBuf, n: number) => unknown> = {
  share: (b, n) => b.share(n),
  'share size': (b, n) => b.share(0, n),
  slice: (b, n) => b.slice(n),
  'slice end': (b, n) => b.slice(0, n),
  takeFront: (b, n) => b.takeFront(n),
  splitAt: (b, n) => b.splitAt(n),
  splice: (b, n) => b.splice(n, 0),
  'splice size': (b, n) => b.splice(0, n),
  insert: (b, n) => b.insert(n, 'x'),
  trimFront: (b, n) => b.trimFront(n),
  trimBack: (b, n) => b.trimBack(n),
  byteAt: (b, n) => b.byteAt(n),
  indexOf: (b, n) => b.indexOf(0, n),
  text: (b, n) => b.toString('utf8', n),
  'text end': (b, n) => b.toString('utf8', 0, n),
  fragmentOffset: (b, n) => b.fragmentOffset(n),
  fragmentLength: (b, n) => b.fragmentLength(n),
  fragmentAddress: (b, n) => b.fragmentAddress(n),
  seek: (b, n) => b.cursor().seek(n),
};

const takesSizes: Record<string, (buffer: IOBuf, n: number) => unknown> = {
  reserve: (b, n) => b.reserve(n),
  placeholder: (b, n) => b.placeholder(n),
  writer: (b, n) => b.writer(n),
  writeIovecs: (b, n) => b.writeIovecs(0, n),
  chunks: (b, n) => [...b.chunks(n)],
  split: (b, n) => b.split(0, n),
};

describe('numbers that are no place, no size', () => {
  test.each(Object.entries(takesPlaces))('%s', (_name, use) => {
    using buffer = IOBuf.from(pattern(10), memory);
    for (const n of BAD) expectCode(() => use(buffer, n), 'SUNSTAR_OUT_OF_RANGE');
    expect(buffer.equals(pattern(10))).toBe(true);
    buffer.invariants();
  });

  test.each(Object.entries(takesSizes))('%s', (_name, use) => {
    using buffer = IOBuf.from(pattern(10), memory);
    for (const n of [0, -1, 0.5, Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]) {
      expectCode(() => use(buffer, n), 'SUNSTAR_OUT_OF_RANGE');
    }
    expect(buffer.equals(pattern(10))).toBe(true);
    buffer.invariants();
  });

  test('cursor', () => {
    using buffer = IOBuf.from(pattern(10), memory);
    const cursor = buffer.cursor();
    cursor.skip(1);
    for (const n of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expectCode(() => cursor.skip(n), 'SUNSTAR_OUT_OF_RANGE');
      expectCode(() => cursor.readString(n), 'SUNSTAR_OUT_OF_RANGE');
      expectCode(() => cursor.readIOBuf(n), 'SUNSTAR_OUT_OF_RANGE');
      expectCode(() => cursor.consume(n, () => true), 'SUNSTAR_OUT_OF_RANGE');
    }
    for (const n of [10, 1000, 2 ** 40]) {
      expectCode(() => cursor.skip(n), 'SUNSTAR_UNDERRUN');
      expectCode(() => cursor.readIOBuf(n), 'SUNSTAR_UNDERRUN');
      expectCode(() => cursor.consume(n, () => true), 'SUNSTAR_UNDERRUN');
    }
    expectCode(() => cursor.readString(10), 'SUNSTAR_UNDERRUN');
    expect(cursor.position).toBe(1);
  });
});

test('any operation with any garbage throws coded errors only', () => {
  const garbage = fc.oneof(
    fc.double(),
    fc.constantFrom(
      undefined,
      null,
      true,
      'text',
      Symbol.iterator,
      {},
      [],
      () => 1,
      7n,
      new Uint8Array(3),
      new Float64Array(2),
    ),
  );
  const names = Object.getOwnPropertyNames(IOBuf.prototype).concat(
    Object.getOwnPropertyNames(Object.getPrototypeOf(IOBuf.prototype)),
    Object.getOwnPropertyNames(Object.getPrototypeOf(Object.getPrototypeOf(IOBuf.prototype))),
  );
  // What is not for users, and what takes memory over: that has to be memory.
  const internal = [
    'constructor',
    'chain',
    'claim',
    'contentChain',
    'endAsMoved',
    'shareWindow',
    'arenaView',
    'arenaBytes',
    'adopt',
    'copyToArena',
    'writeIovecs',
  ];
  const methods = names.filter((name) => !internal.includes(name));
  fc.assert(
    fc.property(fc.constantFrom(...methods), fc.array(garbage, { maxLength: 3 }), (name, args) => {
      using buffer = IOBuf.from(pattern(10), memory);
      const descriptor = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(buffer), name);
      if (descriptor?.get !== undefined) return;
      const method = (buffer as unknown as Record<string, unknown>)[name];
      if (typeof method !== 'function') return;
      try {
        const result: unknown = method.apply(buffer, args);
        for (const made of Array.isArray(result) ? result : [result]) {
          if (made instanceof IOBuf && made !== buffer) made[Symbol.dispose]();
        }
      } catch (error) {
        if (!(error instanceof SunstarError)) {
          throw new Error(`${name}(${args.map(String).join()}) threw ${String(error)}`, { cause: error });
        }
      }
      if (!buffer.isDisposed) buffer.invariants();
    }),
    { numRuns: runs(2000) },
  );
  expect(memory.stats().liveBlocks).toBe(0);
});

describe('the end of a buffer', () => {
  test('double dispose does nothing; every use after it is told', () => {
    const buffer = IOBuf.from('x', memory);
    const cursor = buffer.cursor();
    const hole = buffer.placeholder(4);
    buffer[Symbol.dispose]();
    buffer[Symbol.dispose]();
    for (const use of Object.values({ ...takesPlaces, ...takesSizes })) {
      expectCode(() => use(buffer, 1), 'SUNSTAR_IOBUF_DISPOSED');
    }
    expectCode(() => cursor.readU8(), 'SUNSTAR_IOBUF_DISPOSED');
    expectCode(() => cursor.peekU8(), 'SUNSTAR_IOBUF_DISPOSED');
    expectCode(() => hole.setU32LE(1), 'SUNSTAR_IOBUF_DISPOSED');
    expectCode(() => buffer.move(), 'SUNSTAR_IOBUF_DISPOSED');
  });

  test('after a move the old handle is spent', () => {
    const buffer = IOBuf.from('content', memory);
    const cursor = buffer.cursor();
    using moved = buffer.move();
    expect(moved.toString()).toBe('content');
    expectCode(() => buffer.append('x'), 'SUNSTAR_IOBUF_MOVED');
    expectCode(() => buffer.move(), 'SUNSTAR_IOBUF_MOVED');
    expectCode(() => cursor.readU8(), 'SUNSTAR_IOBUF_DISPOSED');
    buffer[Symbol.dispose]();
    expect(moved.toString()).toBe('content');
  });
});

describe('memory that was wrapped', () => {
  test('and is then transferred away', () => {
    let released = 0;
    const bytes = new Uint8Array(pattern(100));
    using buffer = IOBuf.wrap(bytes, () => released++, memory);
    buffer.append('tail');
    const cursor = buffer.cursor();
    cursor.readU8();
    structuredClone(bytes, { transfer: [bytes.buffer] });
    const uses: (() => unknown)[] = [
      () => cursor.readU8(),
      () => cursor.peekU8(),
      () => cursor.readU32LE(),
      () => cursor.readString(3),
      () => buffer.byteAt(0),
      () => buffer.toBuffer(),
      () => buffer.toString(),
      () => buffer.indexOf(7),
      () => buffer.indexOf(pattern(40)),
      () => buffer.crc32c(),
      () => buffer.hash(),
      () => buffer.xxhash64(),
      () => buffer.copy(),
      () => buffer.localize(),
      () => buffer.hexdump(),
      () => buffer.equals(pattern(104)),
      () => buffer.fragmentAddress(0),
      () => [...buffer],
      () => [...buffer.fragments()],
      () => [...buffer.chunks(7)],
      () => new IOBuf(memory).appendIOBuf(buffer),
    ];
    for (const use of uses) expectCode(use, 'SUNSTAR_IOBUF_DETACHED');
    expect(buffer.sizeBytes).toBe(104);
    buffer.invariants();
    buffer.trimFront(100);
    expect(released).toBe(1);
    expect(buffer.toString()).toBe('tail');
  });

  test('in an ArrayBuffer that shrinks under it', () => {
    const Resizable = ArrayBuffer as unknown as new (
      n: number,
      o: { maxByteLength: number },
    ) => ArrayBuffer & { resize(n: number): void };
    const memoryOfIt = new Resizable(100, { maxByteLength: 100 });
    using buffer = IOBuf.wrap(new Uint8Array(memoryOfIt, 50, 50), undefined, memory);
    memoryOfIt.resize(60);
    expectCode(() => buffer.byteAt(0), 'SUNSTAR_IOBUF_DETACHED');
  });

  test('the arena itself cannot be transferred', () => {
    using buffer = IOBuf.from('safe', memory);
    const [view] = buffer.fragments();
    try {
      structuredClone(view, { transfer: [view.buffer as ArrayBuffer] });
    } catch (error) {
      expect((error as Error).name).toBe('DataCloneError');
    }
    expect(buffer.toString()).toBe('safe');
  });

  test('a release that throws reaches the process, and the buffer is released whole', async () => {
    const seen: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => seen.push(error));
    const buffer = IOBuf.wrap(
      pattern(5),
      () => {
        throw new Error('from release');
      },
      memory,
    );
    buffer.append('more');
    buffer[Symbol.dispose]();
    await new Promise((resolve) => setTimeout(resolve, 1));
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(seen).toHaveLength(1);
    expect(memory.stats().liveBlocks).toBe(0);
  });
});
