import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeyHash } from '../../src/store/key-hash.js';

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

describe('HalfSipHash-1-3', () => {
  // Published test vectors: key 00 01 … 07, input 00 01 … of length 0 to 15.
  const VECTORS = [
    0x5814c896, 0xe7e864ca, 0xbc4b0e30, 0x01539939, 0x7e059ea6, 0x88e3d89b, 0xa0080b65, 0x9d38d9d6,
    0x577999b1, 0xc839caed, 0xe4fa32cf, 0x959246ee, 0x6b28096c, 0x66dd9cd6, 0x16658a7c, 0xd0257b04,
  ];
  const bytes = Uint8Array.from({ length: 64 }, (_, index) => index);
  const hash = new KeyHash(bytes, viewOf(bytes), bytes.subarray(0, 8));

  test.each(VECTORS.map((vector, length) => [length, vector]))('%i bytes', (length, vector) => {
    expect(hash.of(0, length) >>> 0).toBe(vector);
  });

  test('depends on the bytes only, not on where they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(20), (key, shift) => {
        const arena = new Uint8Array(200).fill(0xaa);
        arena.set(key, 0);
        const here = new KeyHash(arena, viewOf(arena), bytes);
        const first = here.of(0, key.length);
        arena.set(key, shift);
        expect(here.of(shift, key.length)).toBe(first);
      }),
    );
  });

  test('another seed gives another hash, and a process has one of its own', () => {
    const other = new KeyHash(bytes, viewOf(bytes), Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]));
    expect(other.of(0, 16)).not.toBe(hash.of(0, 16));
    const random = new KeyHash(bytes, viewOf(bytes));
    expect(new KeyHash(bytes, viewOf(bytes)).of(0, 16)).toBe(random.of(0, 16));
  });
});
