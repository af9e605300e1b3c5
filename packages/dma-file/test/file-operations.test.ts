import { ERRNO, IORING_OP } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileOperations } from '../src/file-operations.js';
import { writeIovecs } from '../src/iovecs.js';
import { ManualRing } from './manual-ring.js';

const SECTOR = 16;

function setUp(depth = 4, maxQueued = 8): { ring: ManualRing; operations: FileOperations } {
  const ring = new ManualRing();
  const operations = new FileOperations({
    reactor: ring,
    memory: ring.memory,
    fd: 3,
    queue: null,
    alignmentBytes: SECTOR,
    depth,
    maxQueued,
  });
  return { ring, operations };
}

class Result {
  value: number | null = null;

  complete(result: number): void {
    expect(this.value).toBeNull();
    this.value = result;
  }
}

/** How the ring answers: an error number, or how many sectors of the rest it moves at most. */
const answers = fc.array(
  fc.oneof(
    fc.record({ error: fc.constantFrom(-ERRNO.EINTR, -ERRNO.EAGAIN), limit: fc.constant(0) }),
    fc.record({ error: fc.constant(0), limit: fc.integer({ min: 0, max: 100 }) }),
  ),
  { maxLength: 40 },
);

describe('FileOperations', () => {
  it('moves every byte in spite of short and interrupted transfers', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(IORING_OP.READ, IORING_OP.READV, IORING_OP.WRITE, IORING_OP.WRITEV),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 300 }),
        answers,
        fc.integer({ min: 1, max: 4 }),
        (opcode, sectors, fileBytes, script, pieceSectors) => {
          const isVector = opcode === IORING_OP.READV || opcode === IORING_OP.WRITEV;
          const isRead = opcode === IORING_OP.READ || opcode === IORING_OP.READV;
          const { ring, operations } = setUp();
          const length = sectors * SECTOR;
          const at = ring.memory.allocateAligned(4096, SECTOR);
          ring.file = Buffer.from(Array.from({ length: fileBytes }, (_, i) => (i * 7 + 1) & 0xff));
          const before = Buffer.from(ring.file);
          ring.memory.bytes.fill(0xaa, at, at + 4096);
          for (let i = 0; i < length; i++) ring.memory.bytes[at + i] = (i * 13 + 5) & 0xff;
          const written = Buffer.from(ring.memory.bytes.subarray(at, at + length));
          const result = new Result();
          if (isVector) {
            const pieces = Math.ceil(sectors / pieceSectors);
            const iovecs = ring.memory.allocate(pieces * 16);
            const starts = Array.from({ length: pieces }, (_, i) => i * pieceSectors * SECTOR);
            writeIovecs(
              ring.memory,
              iovecs,
              starts.map((start) => at + start),
              starts.map((start) => Math.min(pieceSectors * SECTOR, length - start)),
            );
            operations.transferVector(result, opcode, 2 * SECTOR, iovecs, pieces, length);
          } else {
            operations.transfer(result, opcode, 2 * SECTOR, at, length);
          }
          const rest = Array.from({ length: 20 }, () => ({ error: 0, limit: 1e9 }));
          for (const { error, limit } of [...script, ...rest]) {
            if (ring.parked.length === 0) break;
            const [submission] = ring.parked;
            expect(submission.offset % SECTOR).toBe(0);
            if (!isVector) expect(submission.address % SECTOR).toBe(0);
            // Only the end of the file cuts a read inside of a sector.
            const moved = isRead ? limit - (limit % SECTOR) : limit;
            ring.complete(0, error, isRead ? Math.max(moved, SECTOR) : moved);
            operations.invariants();
          }
          if (isRead) {
            const expected = Math.max(0, Math.min(length, fileBytes - 2 * SECTOR));
            expect(result.value).toBe(expected);
            const content = ring.memory.bytes.subarray(at, at + expected);
            expect(content.equals(before.subarray(2 * SECTOR, 2 * SECTOR + expected))).toBe(true);
          } else {
            expect(result.value).toBe(length);
            expect(ring.file.subarray(2 * SECTOR, 2 * SECTOR + length).equals(written)).toBe(true);
          }
          expect(operations.inFlight).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('gives up on a write that never makes progress, and on endless interruptions', () => {
    for (const [error, limit, expected] of [
      [0, 0, -ERRNO.EIO],
      [-ERRNO.EINTR, 0, -ERRNO.EINTR],
      [-ERRNO.EAGAIN, 0, -ERRNO.EAGAIN],
    ]) {
      const { ring, operations } = setUp();
      const result = new Result();
      operations.transfer(result, IORING_OP.WRITE, 0, 0, SECTOR);
      for (let i = 0; i < 1000 && ring.parked.length > 0; i++) ring.complete(0, error, limit);
      expect(result.value).toBe(expected);
    }
  });

  it('counts interruptions in a row only', () => {
    const { ring, operations } = setUp();
    const result = new Result();
    operations.transfer(result, IORING_OP.WRITE, 0, 0, 4 * SECTOR);
    for (let sector = 0; sector < 4; sector++) {
      for (let i = 0; i < 60; i++) ring.complete(0, -ERRNO.EINTR, 0);
      ring.complete(0, 0, SECTOR);
    }
    expect(result.value).toBe(4 * SECTOR);
  });

  it('reports an error at once, also after a part was written', () => {
    const { ring, operations } = setUp();
    const result = new Result();
    operations.transfer(result, IORING_OP.WRITE, 0, 0, 4 * SECTOR);
    ring.complete(0, 0, SECTOR);
    ring.complete(0, -ERRNO.ENOSPC, 0);
    expect(result.value).toBe(-ERRNO.ENOSPC);
  });

  it('has at most `depth` operations with the ring and starts the others in order', () => {
    const { ring, operations } = setUp(3, 100);
    const order: number[] = [];
    for (let i = 0; i < 20; i++) {
      const completion = { complete: () => order.push(i) };
      operations.submit(completion, IORING_OP.NOP, 0, 0, i);
      operations.invariants();
    }
    expect(operations.inFlight).toBe(3);
    expect(operations.queued).toBe(17);
    while (ring.parked.length > 0) {
      ring.complete(0, 0, 0);
      operations.invariants();
    }
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(ring.deepest).toBe(3);
  });

  it('gives operations to the kernel four at a time where there are many, so that the device does not wait', () => {
    const { ring, operations } = setUp(9, 100);
    for (let i = 0; i < 12; i++) operations.transfer(new Result(), IORING_OP.WRITE, i * SECTOR, 0, SECTOR);
    // The first five are the first that are more than a few.
    expect(ring.submitted).toBe(9);
    for (const length of [SECTOR, SECTOR, SECTOR]) ring.complete(0, 0, length);
    expect(ring.submissions).toBe(12);
    expect(ring.submitted).toBe(9);
    ring.complete(0, -ERRNO.EINTR, 0);
    expect(ring.submitted).toBe(13);
  });

  it('gives those of a batch to the kernel together', () => {
    const { ring, operations } = setUp(6, 100);
    operations.hold();
    for (let i = 0; i < 6; i++) operations.transfer(new Result(), IORING_OP.WRITE, i * SECTOR, 0, SECTOR);
    expect(ring.submitted).toBe(0);
    operations.submitHeld();
    expect(ring.submitted).toBe(6);
    for (let i = 0; i < 4; i++) {
      ring.complete(0, 0, SECTOR);
      operations.transfer(new Result(), IORING_OP.WRITE, 0, 0, SECTOR);
    }
    expect(ring.submitted).toBe(10);
  });

  it('leaves a few to the end of the tick', () => {
    const { ring, operations } = setUp(6, 100);
    for (let i = 0; i < 4; i++) operations.transfer(new Result(), IORING_OP.WRITE, i * SECTOR, 0, SECTOR);
    expect(ring.submissions).toBe(4);
    expect(ring.submitted).toBe(0);
  });

  it('refuses what does not fit into the queue with −EBUSY, later and not inside of the call', () => {
    const { ring, operations } = setUp(1, 2);
    const results = Array.from({ length: 5 }, () => new Result());
    for (const result of results) operations.submit(result, IORING_OP.NOP, 0, 0, 0);
    expect(operations.isFull).toBe(true);
    expect(results.map((result) => result.value)).toEqual([null, null, null, null, null]);
    ring.tick();
    expect(results.map((result) => result.value)).toEqual([null, null, null, -ERRNO.EBUSY, -ERRNO.EBUSY]);
    while (ring.parked.length > 0) ring.complete(0, 0, 0);
    expect(results.map((result) => result.value)).toEqual([0, 0, 0, -ERRNO.EBUSY, -ERRNO.EBUSY]);
  });

  it('answers −EBUSY when the ring of the shard is full, however many wait', () => {
    const { ring, operations } = setUp(2, 10_000);
    const results = Array.from({ length: 5000 }, () => new Result());
    ring.capacity = 2;
    for (const result of results.slice(0, 2)) operations.submit(result, IORING_OP.NOP, 0, 0, 0);
    for (const result of results.slice(2)) operations.submit(result, IORING_OP.NOP, 0, 0, 0);
    ring.capacity = 0;
    ring.complete(0, 0, 0);
    ring.complete(0, 0, 0);
    ring.tick();
    expect(results.filter((result) => result.value === -ERRNO.EBUSY)).toHaveLength(4998);
    operations.invariants();
    expect(operations.inFlight).toBe(0);
  });

  it('waits for everything in close(), and refuses with −EBADF afterwards', async () => {
    const { ring, operations } = setUp(1, 10);
    const results = [new Result(), new Result(), new Result()];
    operations.submit(results[0], IORING_OP.NOP, 0, 0, 0);
    operations.submit(results[1], IORING_OP.NOP, 0, 0, 0);
    let isClosed = false;
    const closing = operations.close().then(() => {
      isClosed = true;
    });
    operations.submit(results[2], IORING_OP.NOP, 0, 0, 0);
    ring.complete(0, 0, 0);
    await Promise.resolve();
    expect(isClosed).toBe(false);
    ring.complete(0, 0, 0);
    await Promise.resolve();
    expect(isClosed).toBe(false);
    ring.tick();
    await closing;
    expect(results.map((result) => result.value)).toEqual([0, 0, -ERRNO.EBADF]);
  });
});
