import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import xxhash from 'xxhash-wasm';
import { crc32cByTable } from '../src/crc32c.js';
import { CRC32C_ACCELERATED, crc32c, IOBuf } from '../src/index.js';
import { debugMemory, expectCode, pattern, runs } from './support.js';

const memory = debugMemory();

const cuts = fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300), { maxLength: 12 }));

/** `bytes` in a buffer that is cut into fragments at these positions. */
function fragmented(bytes: Uint8Array, at: number[]): IOBuf {
  const buffer = new IOBuf(memory);
  const borders = [0, ...at.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
  for (let i = 1; i < borders.length; i++) {
    using piece = IOBuf.from(bytes.subarray(borders[i - 1], borders[i]), memory);
    buffer.link(piece);
  }
  return buffer;
}

describe('crc32c', () => {
  // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  test.each([
    ['', 0],
    [Buffer.from('123456789').toString('hex'), 0xe3069283],
    ['00'.repeat(32), 0x8a9136aa],
    ['ff'.repeat(32), 0x62a8ab43],
    [Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('hex'), 0x46dd794e],
    [Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)).toString('hex'), 0x113fdb5c],
    [
      '01c00000000000000000000000000000140000000000040000000014000000182800000000000000' + '0200000000000000',
      0xd9963a56,
    ],
  ])('of %s', (hex, expected) => {
    expect(crc32c(Buffer.from(hex, 'hex'))).toBe(expected);
  });

  /** Bit by bit, from the definition. */
  function reference(bytes: Uint8Array): number {
    let crc = 0xffffffff;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? 0x82f63b78 : 0);
    }
    return ~crc >>> 0;
  }

  test('equals the definition at every length and start, whole or piece by piece', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(200), (bytes, a, b) => {
        const start = Math.min(a, bytes.length);
        const middle = Math.min(Math.max(a, b), bytes.length);
        const expected = reference(bytes.subarray(start));
        expect(crc32c(bytes, start)).toBe(expected);
        expect(crc32c(bytes, middle, bytes.length, crc32c(bytes, start, middle))).toBe(expected);
      }),
    );
  });

  test('of a buffer, however it is cut', () => {
    fc.assert(
      fc.property(cuts, ([bytes, at]) => {
        using buffer = fragmented(bytes, at);
        expect(buffer.crc32c()).toBe(crc32c(bytes));
        expect(buffer.crc32c(crc32c(bytes))).toBe(crc32c(Buffer.concat([bytes, bytes])));
      }),
    );
  });
});

describe('hash', () => {
  // xxHash's own sanity values.
  test.each([
    ['', 0, 0x02cc5d05],
    ['', 0x9e3779b1, 0x36b78ae7],
    ['a', 0, 0x550d7456],
    ['abc', 0, 0x32d153ff],
    ['123456789', 0, 0x937bad67],
    ['Nobody inspects the spammish repetition', 0, 0xe2293b2f],
  ])('of %j with seed %d', (text, seed, expected) => {
    using buffer = IOBuf.from(text, memory);
    expect(buffer.hash(seed)).toBe(expected);
  });

  test('and equality do not depend on how the content is cut', () => {
    fc.assert(
      fc.property(cuts, fc.array(fc.nat(300)), fc.nat(0xffffffff), ([bytes, at], other, seed) => {
        using a = fragmented(bytes, at);
        using b = fragmented(bytes, other);
        expect(a.hash(seed)).toBe(b.hash(seed));
        expect(a.equals(b)).toBe(true);
        expect(a.equals(bytes)).toBe(true);
        expect(a.compare(b)).toBe(0);
      }),
    );
  });

  test('differs for one changed byte', () => {
    const bytes = pattern(1000);
    using whole = IOBuf.from(bytes, memory);
    for (let i = 0; i < 1000; i += 7) {
      bytes[i] ^= 1;
      using changed = IOBuf.from(bytes, memory);
      expect(changed.hash()).not.toBe(whole.hash());
      expect(changed.equals(whole)).toBe(false);
      bytes[i] ^= 1;
    }
  });
});

describe('crc32c by the processor', () => {
  test('equals the table at lengths around its streams, at every alignment', () => {
    const bytes = pattern(60_000);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.nat(2000),
          fc.constantFrom(111, 112, 767, 768, 769, 24575, 24576, 24577, 49152),
          fc.nat(50_000),
        ),
        fc.nat(17),
        fc.nat(0xffffffff),
        (length, start, seed) => {
          expect(crc32c(bytes, start, start + length, seed)).toBe(
            crc32cByTable(bytes, start, start + length, seed),
          );
        },
      ),
    );
    expect(typeof CRC32C_ACCELERATED).toBe('boolean');
  });

  test('refuses ranges that are not there', () => {
    const bytes = pattern(1000);
    for (const [start, end] of [
      [0, 1001],
      [-1, 500],
      [600, 200],
      [0.5, 900],
      [Number.NaN, 900],
      [0, Number.NaN],
      [2000, 3000],
    ]) {
      expectCode(() => crc32c(bytes, start, end), 'SUNSTAR_OUT_OF_RANGE');
    }
  });
});

describe('xxhash64', async () => {
  const { h64Raw } = await xxhash();

  // xxHash's own sanity values.
  test.each([
    ['', 0n, 0xef46db3751d8e999n],
    ['', 0x9e3779b1n, 0xac75fda2929b17efn],
    ['a', 0n, 0xd24ec4f1a98c6e5bn],
    ['abc', 0n, 0x44bc2cf5ad770999n],
    ['Nobody inspects the spammish repetition', 0n, 0xfbcea83c8a378bf1n],
  ])('of %j with seed %d', (text, seed, expected) => {
    using buffer = IOBuf.from(text, memory);
    expect(buffer.xxhash64(seed)).toBe(expected);
  });

  test('equals an independent implementation, however the content is cut', () => {
    fc.assert(
      fc.property(cuts, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), ([bytes, at], seed) => {
        using buffer = fragmented(bytes, at);
        expect(buffer.xxhash64(seed)).toBe(h64Raw(bytes, seed));
      }),
      { numRuns: runs(300) },
    );
  });

  test('of a long content', () => {
    const bytes = pattern(300_001);
    using buffer = IOBuf.from(bytes, memory);
    expect(buffer.xxhash64()).toBe(h64Raw(bytes));
    for (const seed of [-1n, 2n ** 64n, 1 as unknown as bigint]) {
      expectCode(() => buffer.xxhash64(seed), 'SUNSTAR_OUT_OF_RANGE');
    }
  });
});
