import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IOBuf, IOVEC_SIZE_BYTES, IOVECS_MAX } from '../src/index.js';
import { debugMemory, expectCode, pattern } from './support.js';

const memory = debugMemory();
const table = memory.allocate(IOVECS_MAX * IOVEC_SIZE_BYTES);

/** What the kernel would read from the first `count` entries. */
function gather(count: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const address = Number(memory.bytes.readBigUInt64LE(table + i * 16));
    const length = Number(memory.bytes.readBigUInt64LE(table + i * 16 + 8));
    const offset = address - memory.arena.address;
    expect(offset).toBeGreaterThanOrEqual(0);
    expect(length).toBeGreaterThan(0);
    parts.push(memory.bytes.subarray(offset, offset + length));
  }
  return Buffer.concat(parts);
}

test('a scatter list holds the content behind what is skipped, up to the maximum of entries', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 20 }),
      fc.nat(1000),
      fc.integer({ min: 1, max: 24 }),
      (lengths, thousandths, maxCount) => {
        using buffer = new IOBuf(memory);
        for (const [i, length] of lengths.entries()) {
          using piece = IOBuf.from(pattern(length, i), memory);
          buffer.link(piece);
        }
        const skip = Math.floor((thousandths / 1000) * buffer.sizeBytes);
        memory.bytes.fill(0xee, table, table + 25 * 16);
        const count = buffer.writeIovecs(table, maxCount, skip);
        const rest = buffer.toBuffer().subarray(skip);
        const seen = gather(count);
        expect(seen.equals(rest.subarray(0, seen.length))).toBe(true);
        // All of it, unless the table was full; and nothing was written behind the table.
        if (count < maxCount) expect(seen.length).toBe(rest.length);
        expect(memory.bytes[table + count * 16]).toBe(0xee);
      },
    ),
  );
});

test('not more than the kernel takes', () => {
  using buffer = new IOBuf(memory);
  using piece = IOBuf.from('x', memory);
  for (let i = 0; i < 1500; i++) buffer.link(piece);
  expect(buffer.writeIovecs(table, IOVECS_MAX)).toBe(1024);
  expect(buffer.writeIovecs(table, IOVECS_MAX, 1024)).toBe(476);
  expect(buffer.writeIovecs(table, IOVECS_MAX, 1500)).toBe(0);
  expectCode(() => buffer.writeIovecs(table, IOVECS_MAX + 1), 'SUNSTAR_OUT_OF_RANGE');
  expectCode(() => buffer.writeIovecs(table + 4, 1), 'SUNSTAR_OUT_OF_RANGE');
  expectCode(() => buffer.writeIovecs(memory.arena.sizeBytes - 16, 2), 'SUNSTAR_OUT_OF_RANGE');
});
