import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { copyBytes, equalBytes, readInt64, readInteger, writeInteger } from '../src/bytes.js';

const arena = Buffer.alloc(64 * 1024);
const view = new DataView(arena.buffer, arena.byteOffset, arena.length);

describe('bytes', () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.uint8Array({ minLength: 80, maxLength: 600 }),
  );

  test('copies exactly the range', () => {
    fc.assert(
      fc.property(anyBytes, fc.nat(9), fc.nat(9), (bytes, from, to) => {
        arena.fill(0xaa);
        arena.set(bytes, from);
        copyBytes(arena, view, from, 1000 + to, bytes.length);
        expect(arena[999 + to]).toBe(0xaa);
        expect(arena.subarray(1000 + to, 1000 + to + bytes.length).equals(bytes)).toBe(true);
        expect(arena[1000 + to + bytes.length]).toBe(0xaa);
      }),
    );
  });

  test('compares exactly the range', () => {
    fc.assert(
      fc.property(anyBytes, fc.nat(9), fc.nat(), (bytes, shift, position) => {
        arena.fill(1);
        arena.set(bytes, 10);
        arena.fill(2, 1000);
        arena.set(bytes, 1000 + shift);
        expect(equalBytes(arena, view, 10, 1000 + shift, bytes.length)).toBe(true);
        if (bytes.length === 0) return;
        arena[10 + (position % bytes.length)] ^= 0x80;
        expect(equalBytes(arena, view, 10, 1000 + shift, bytes.length)).toBe(false);
      }),
    );
  });
});

describe('integers', () => {
  function read(text: string): number {
    return readInteger(arena, 5, arena.write(text, 5, 'latin1'));
  }

  test('are written and read', () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), fc.integer()), (value) => {
        const length = writeInteger(arena, 5, value) - 5;
        expect(arena.toString('latin1', 5, 5 + length)).toBe(String(value));
        expect(readInteger(arena, 5, length)).toBe(value);
      }),
    );
  });

  test.each(['', '-', '+1', '01', '-0', '00', ' 1', '1 ', '1.0', '1e3', 'abc', '0x1', '--1', '9'.repeat(21)])(
    '%j is none',
    (text) => {
      expect(read(text)).toBeNaN();
      expect(readInt64(arena, 5, arena.write(text, 5, 'latin1'))).toBeNull();
    },
  );

  test('of 64 bits', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }), (value) => {
        const text = String(value);
        const fits = BigInt.asIntN(64, value) === value;
        expect(readInt64(arena, 5, arena.write(text, 5, 'latin1'))).toBe(fits ? value : null);
        expect(read(text)).toBe(fits ? Number(value) : Number.NaN);
      }),
    );
  });
});
