import { IOBuf } from '@sunstar/iobuf';
import { ERRNO, IORING_OP } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readRange } from '../src/range-read.js';
import { writeRange } from '../src/range-write.js';
import { type ManualRing, manualRange } from './manual-ring.js';

const SECTOR = 512;

/** Checks the rules of O_DIRECT for every submission and completes all of them, in an order made from `picks`. */
function completeAll(ring: ManualRing, picks: readonly number[], error = 0): void {
  for (let i = 0; ring.parked.length > 0; i++) {
    for (const submission of ring.parked) {
      const size = ring.sizeOf(submission);
      const isVector = submission.opcode === IORING_OP.WRITEV;
      const isAligned = submission.offset % SECTOR === 0 && size % SECTOR === 0;
      if (!isAligned || size > 131072 || (!isVector && submission.address % SECTOR !== 0)) {
        throw new Error(`${size} bytes at ${submission.offset} from ${submission.address}`);
      }
    }
    const isFailure = error < 0 && i === picks.length % 3;
    const pick = picks.length === 0 ? 0 : picks[i % picks.length] % ring.parked.length;
    ring.complete(pick, isFailure ? error : 0, Number.POSITIVE_INFINITY);
  }
}

function pattern(length: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => Math.imul(i + 1, 2654435761 + seed) >>> 17));
}

describe('reading a range', () => {
  it('gives what the file has there, and not one byte more', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 400_000 }),
        fc.integer({ min: 0, max: 450_000 }),
        fc.integer({ min: 0, max: 450_000 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        async (fileBytes, position, length, picks) => {
          const { ring, target } = manualRange(2);
          ring.file = pattern(fileBytes, 3);
          ring.memory.bytes.fill(0xee);
          const reading = length === 0 ? Promise.resolve(null) : readRange(target, position, length);
          completeAll(ring, picks);
          const content = await reading;
          if (content !== null) {
            expect(content.toBuffer().equals(ring.file.subarray(position, position + length))).toBe(true);
            content[Symbol.dispose]();
          }
          expect(ring.memory.stats().liveBlocks).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('takes nothing from behind a short piece when the file grows meanwhile', async () => {
    const { ring, target } = manualRange(8);
    ring.file = pattern(1000, 1);
    const reading = readRange(target, 0, 200_000);
    ring.complete(0, 0, Number.POSITIVE_INFINITY);
    ring.file = pattern(200_000, 2);
    completeAll(ring, []);
    using content = await reading;
    expect(content.toBuffer().equals(pattern(1000, 1))).toBe(true);
  });

  it('asks for nothing behind the end, once it was seen', async () => {
    const { ring, target } = manualRange(1);
    ring.file = pattern(140_000, 1);
    const reading = readRange(target, 0, 1_000_000);
    completeAll(ring, []);
    using content = await reading;
    expect(content.sizeBytes).toBe(140_000);
    expect(ring.submissions).toBe(2);
  });

  it('frees its memory after an error', async () => {
    const { ring, target } = manualRange(2);
    ring.file = pattern(500_000, 1);
    const reading = readRange(target, 100, 400_000);
    completeAll(ring, [1], -ERRNO.EIO);
    await expect(reading).rejects.toMatchObject({ code: 'SUNSTAR_EIO', syscall: 'read' });
    expect(ring.memory.stats().liveBlocks).toBe(0);
  });

  it('takes no memory when there is not enough', async () => {
    const { ring, target } = manualRange(8);
    await expect(readRange(target, 0, 8 << 20)).rejects.toMatchObject({ code: 'SUNSTAR_OUT_OF_MEMORY' });
    expect(ring.memory.stats().liveBlocks).toBe(0);
  });
});

/** Sizes of pieces that a buffer is put together from, and whether each one is aligned in memory. */
const pieces = fc.array(
  fc.record({
    sectors: fc.integer({ min: 0, max: 40 }),
    odd: fc.constantFrom(0, 0, 1, 511, 100),
    start: fc.constantFrom(0, 0, 512, 8),
  }),
  { minLength: 1, maxLength: 12 },
);

/** An IOBuf of the pieces, rounded up to whole sectors. */
function bufferOf(ring: ManualRing, parts: { sectors: number; odd: number; start: number }[]): IOBuf {
  const buffer = new IOBuf(ring.memory);
  let seed = 1;
  const add = (length: number, start: number): void => {
    if (length === 0) return;
    const block = ring.memory.allocateAligned(length + start + SECTOR, SECTOR);
    pattern(length, seed++).copy(ring.memory.bytes, block + start);
    buffer.adopt(block, length + start, start, length);
  };
  for (const { sectors, odd, start } of parts) add(sectors * SECTOR + odd, start);
  add((SECTOR - (buffer.sizeBytes % SECTOR)) % SECTOR, 8);
  return buffer;
}

describe('writing a range', () => {
  it('writes every byte of any buffer, aligned, in any order, though the buffer is disposed at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        pieces,
        fc.nat(5),
        fc.array(fc.nat(), { maxLength: 5 }),
        async (parts, sector, picks) => {
          const { ring, target } = manualRange(3);
          const buffer = bufferOf(ring, parts);
          const expected = buffer.toBuffer();
          const position = sector * SECTOR;
          ring.file = pattern(position, 9);
          const writing = expected.length === 0 ? 0 : writeRange(target, position, buffer);
          buffer[Symbol.dispose]();
          completeAll(ring, picks);
          expect(await writing).toBe(expected.length);
          expect(ring.file.subarray(position).equals(expected)).toBe(true);
          expect(ring.memory.stats().liveBlocks).toBe(0);
          expect(ring.deepest).toBeLessThanOrEqual(3);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('merges aligned neighbours into vectored writes, without a copy', async () => {
    const { ring, target } = manualRange(8);
    const parts = Array.from({ length: 40 }, () => ({ sectors: 8, odd: 0, start: 0 }));
    using buffer = bufferOf(ring, parts);
    const blocks = ring.memory.stats().liveBlocks;
    const writing = writeRange(target, 0, buffer);
    // 40 × 4 KiB are one write of 128 KiB and one of 32 KiB, each with a scatter list of one block.
    expect(ring.parked.map((submission) => ring.sizeOf(submission))).toEqual([131072, 32768]);
    expect(ring.memory.stats().liveBlocks).toBe(blocks + 2);
    completeAll(ring, []);
    await writing;
    expect(ring.file.equals(buffer.toBuffer())).toBe(true);
  });

  it('copies no more than what is not aligned', async () => {
    const { ring, target } = manualRange(8);
    for (const parts of [
      // One sector from an odd place; then a piece that is aligned from its start.
      [
        { sectors: 1, odd: 0, start: 8 },
        { sectors: 64, odd: 0, start: 0 },
      ],
      // A piece that becomes aligned after 504 bytes.
      [
        { sectors: 0, odd: 8, start: 0 },
        { sectors: 64, odd: 504, start: 8 },
      ],
    ]) {
      using buffer = bufferOf(ring, parts);
      const writing = writeRange(target, 0, buffer);
      expect(ring.parked.map((submission) => ring.sizeOf(submission))).toEqual([512, 32768]);
      completeAll(ring, []);
      await writing;
      expect(ring.file.equals(buffer.toBuffer())).toBe(true);
    }
  });

  it('writes arena memory from where it is, and copies other bytes', async () => {
    const { ring, target } = manualRange(8);
    const block = ring.memory.allocateAligned(8192, SECTOR);
    pattern(8192, 4).copy(ring.memory.bytes, block);
    for (const start of [0, 8]) {
      const data = ring.memory.bytes.subarray(block + start, block + start + 4096);
      const writing = writeRange(target, 0, data);
      expect(ring.memory.stats().liveBlocks).toBe(start === 0 ? 1 : 2);
      completeAll(ring, []);
      expect(await writing).toBe(4096);
      expect(ring.file.equals(data)).toBe(true);
    }
    const outside = pattern(300_032, 5);
    const writing = writeRange(target, SECTOR, outside);
    completeAll(ring, [1, 0]);
    expect(await writing).toBe(300_032);
    expect(ring.file.subarray(SECTOR).equals(outside)).toBe(true);
  });

  it('waits for memory as long as writes are in flight', async () => {
    const { ring, target } = manualRange(8);
    // A quarter of a mebibyte is left.
    for (const size of [2 << 20, 1 << 20, 512 << 10, 256 << 10]) ring.memory.allocate(size);
    const data = pattern(1 << 20, 6);
    const writing = writeRange(target, 0, data);
    expect(ring.parked.length).toBeLessThan(8);
    completeAll(ring, []);
    expect(await writing).toBe(1 << 20);
    expect(ring.file.equals(data)).toBe(true);
  });

  it('rejects with the first error when everything has ended, and gives all memory back', async () => {
    const { ring, target } = manualRange(2);
    const writing = writeRange(target, 0, pattern(1 << 20, 6));
    completeAll(ring, [1], -ERRNO.ENOSPC);
    await expect(writing).rejects.toMatchObject({ code: 'SUNSTAR_ENOSPC', syscall: 'write' });
    expect(ring.memory.stats().liveBlocks).toBe(0);
    expect(ring.submissions).toBeLessThan(8);
  });
});
