import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decoder } from '../../src/smp/codec/decoder.ts';
import { ShortReader, ShortWriter } from '../../src/smp/codec/short-values.ts';
import { SLOT_BYTES, SLOT_WORDS } from '../../src/smp/layout.ts';
import { CALL, INLINE_BYTES, PAYLOAD_BYTES_AT, SHORT } from '../../src/smp/message.ts';

const SLOT = 2;
const words = new Int32Array(8 * SLOT_WORDS);
const bytes = Buffer.from(words.buffer);
const view = new DataView(words.buffer);
const writer = new ShortWriter(words);
const reader = new ShortReader(bytes, view);

/** Writes as many values as are taken. */
function write(values: readonly unknown[]): number {
  writer.begin(SLOT * SLOT_WORDS);
  let count = 0;
  while (count < values.length && writer.write(values[count])) count++;
  writer.end(SLOT * SLOT_WORDS, CALL, count, 7, 9);
  return count;
}

/** What a value takes in a slot; Infinity when it does not belong there. */
function sizeOf(value: unknown): number {
  if (typeof value === 'number') return (value | 0) === value && !Object.is(value, -0) ? 5 : 9;
  if (typeof value !== 'string') return 1;
  return [...value].every((letter) => letter <= '\xff') ? value.length + 2 : Number.POSITIVE_INFINITY;
}

const value = fc.oneof(
  fc.integer(),
  fc.constantFrom(0, -0, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, Number.NaN, Number.NEGATIVE_INFINITY),
  fc.double(),
  fc.string({ maxLength: 50 }),
  fc.string({
    maxLength: 12,
    unit: fc.integer({ min: 0, max: 0x120 }).map((code) => String.fromCharCode(code)),
  }),
  fc.constantFrom(true, false, null, undefined),
);

describe('ShortWriter', () => {
  it('writes what fits into the slot, which its reader and the general one read back', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 12 }), (values) => {
        words.fill(-1);
        const count = write(values);
        let room = INLINE_BYTES;
        let expected = 0;
        while (expected < values.length && sizeOf(values[expected]) <= room)
          room -= sizeOf(values[expected++]);
        expect(count).toBe(expected);
        expect(words[SLOT * SLOT_WORDS]).toBe(CALL | SHORT | (count << 16));
        // Nothing but its own slot.
        expect(words.subarray(0, SLOT * SLOT_WORDS).every((word) => word === -1)).toBe(true);
        expect(words.subarray((SLOT + 1) * SLOT_WORDS).every((word) => word === -1)).toBe(true);

        const given = values.slice(0, count);
        reader.begin(SLOT * SLOT_WORDS);
        expect(given.map(() => reader.value())).toEqual(given);
        const decoder = new Decoder();
        decoder.begin(bytes, view, SLOT * SLOT_BYTES + PAYLOAD_BYTES_AT);
        expect(given.map(() => decoder.value())).toEqual(given);
        decoder.end();
      }),
      { numRuns: 2000 },
    );
  });

  it('leaves to others what may fail, move or run code', () => {
    const others: unknown[] = [
      {},
      [],
      1n,
      Symbol('s'),
      () => 1,
      new Uint8Array(1),
      new Date(),
      'x'.repeat(47),
      'Ω',
    ];
    for (const other of others) expect(write([other])).toBe(0);
  });
});
