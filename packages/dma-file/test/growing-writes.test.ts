import { type Completion, currentGroupId, ERRNO, IORING_OP, swapGroup } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileOperations } from '../src/file-operations.js';
import { ManualRing } from './manual-ring.js';

const SECTOR = 16;
const { WRITE, READ, FALLOCATE, FTRUNCATE, FSYNC } = IORING_OP;

function setUp(sectors = 0, depth = 64): { ring: ManualRing; operations: FileOperations; memory: number } {
  const ring = new ManualRing();
  ring.file = Buffer.alloc(sectors * SECTOR, 1);
  const operations = new FileOperations({
    reactor: ring,
    memory: ring.memory,
    fd: 3,
    queue: null,
    alignmentBytes: SECTOR,
    depth,
    maxQueued: 1000,
    endBytes: sectors * SECTOR,
  });
  return { ring, operations, memory: ring.memory.allocateAligned(4096, SECTOR) };
}

const ignored: Completion = { complete() {} };
const sectorsOf = (ring: ManualRing): number[] => ring.parked.map(({ offset }) => offset / SECTOR);

describe('writes that make a file longer', () => {
  it('are given to the kernel at the end of the tick, the last first', () => {
    const { ring, operations, memory } = setUp(2);
    for (const sector of [2, 4, 3, 5]) operations.transfer(ignored, WRITE, sector * SECTOR, memory, SECTOR);
    expect(ring.parked).toEqual([]);
    expect(operations.inFlight).toBe(4);
    ring.tick();
    expect(sectorsOf(ring)).toEqual([5, 4, 3, 2]);
    operations.invariants();
  });

  it('wait while more than twice as many are out', () => {
    const { ring, operations, memory } = setUp();
    let next = 0;
    const write = (): void => void operations.transfer(ignored, WRITE, next++ * SECTOR, memory, SECTOR);
    for (let i = 0; i < 8; i++) write();
    ring.tick();
    for (let i = 0; i < 3; i++) write();
    ring.tick();
    expect(sectorsOf(ring)).toEqual([7, 6, 5, 4, 3, 2, 1, 0]);
    ring.complete(0, 0, SECTOR);
    ring.tick();
    // Three are not half of seven.
    expect(ring.parked.length).toBe(7);
    ring.complete(0, 0, SECTOR);
    ring.tick();
    expect(sectorsOf(ring)).toEqual([5, 4, 3, 2, 1, 0, 10, 9, 8]);
    operations.invariants();
  });

  it('are those behind the end only, as far as that is known', () => {
    const { ring, operations, memory } = setUp(4);
    const direct = (sector: number, sectors = 1): boolean => {
      const before = ring.parked.length;
      operations.transfer(ignored, WRITE, sector * SECTOR, memory, sectors * SECTOR);
      const wasDirect = ring.parked.length === before + 1;
      ring.tick();
      while (ring.parked.length > 0) ring.complete(0, 0, 4096);
      return wasDirect;
    };
    expect(direct(3)).toBe(true);
    expect(direct(3, 2)).toBe(false);
    expect(direct(4)).toBe(true);
    expect(direct(9)).toBe(false);
    expect(direct(7)).toBe(true);
    operations.submit(ignored, FALLOCATE, 10 * SECTOR, 0, 10 * SECTOR);
    ring.complete(0, 0, 0);
    expect(direct(19)).toBe(true);
    // KEEP_SIZE.
    operations.submit(ignored, FALLOCATE, 10 * SECTOR, 1, 20 * SECTOR);
    ring.complete(0, 0, 0);
    expect(direct(20)).toBe(false);
    operations.submit(ignored, FTRUNCATE, 0, 0, 2 * SECTOR);
    ring.complete(0, 0, 0);
    expect(direct(1)).toBe(true);
    expect(direct(2)).toBe(false);
  });

  it('are not the durable ones, the reads, or what has no bytes', () => {
    const { ring, operations, memory } = setUp();
    operations.transfer(ignored, WRITE, 0, memory, SECTOR, 2);
    operations.transfer(ignored, READ, 0, memory, SECTOR);
    operations.submit(ignored, FSYNC, 0, 0, 0);
    expect(ring.parked.length).toBe(3);
    while (ring.parked.length > 0) ring.complete(0, -ERRNO.EIO, 0);
    operations.invariants();
  });

  it('are not what is left of a write in front of the end', () => {
    const { ring, operations, memory } = setUp(4);
    operations.transfer(ignored, WRITE, 0, memory, 4 * SECTOR);
    ring.complete(0, 0, SECTOR);
    expect(sectorsOf(ring)).toEqual([1]);
  });

  it('are submitted by the group that wrote them', () => {
    const { ring, operations, memory } = setUp();
    const groups: number[] = [];
    const submit = ring.submit.bind(ring);
    ring.submit = (...args) => {
      groups.push(currentGroupId());
      return submit(...args);
    };
    for (const group of [1, 2, 3]) {
      const before = swapGroup(group);
      operations.transfer(ignored, WRITE, group * SECTOR, memory, SECTOR);
      swapGroup(before);
    }
    ring.tick();
    expect(groups).toEqual([3, 2, 1]);
  });

  it('go on when one of them fails, and where the ring has no room', () => {
    const { ring, operations, memory } = setUp();
    const results: number[] = [];
    const result: Completion = { complete: (value) => void results.push(value) };
    ring.capacity = 3;
    for (let sector = 0; sector < 4; sector++)
      operations.transfer(result, WRITE, sector * SECTOR, memory, SECTOR);
    ring.tick();
    expect(sectorsOf(ring)).toEqual([3, 2, 1]);
    ring.tick();
    expect(results).toEqual([-ERRNO.EBUSY]);
    ring.complete(0, -ERRNO.ENOSPC, 0);
    // The end is where it was.
    operations.transfer(result, WRITE, 3 * SECTOR, memory, SECTOR);
    expect(sectorsOf(ring)).toEqual([2, 1]);
    ring.tick();
    expect(sectorsOf(ring)).toEqual([2, 1, 3]);
    while (ring.parked.length > 0) ring.complete(0, 0, SECTOR);
    expect(results).toEqual([-ERRNO.EBUSY, -ERRNO.ENOSPC, SECTOR, SECTOR, SECTOR]);
    expect(operations.inFlight).toBe(0);
    operations.invariants();
  });

  it('write every byte, and none waits for ever, in any order of ends, ticks, short and failed writes', () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('write' as const),
          sectors: fc.integer({ min: 1, max: 4 }),
          ahead: fc.integer({ min: 0, max: 3 }),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('end' as const),
          which: fc.nat(),
          error: fc.constantFrom(0, 0, 0, -ERRNO.EINTR, -ERRNO.EAGAIN),
          limit: fc.integer({ min: 1, max: 64 }),
        }),
      },
      { weight: 2, arbitrary: fc.constant({ kind: 'tick' as const }) },
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 80 }),
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 1, max: 12 }),
        (steps, fileSectors, depth) => {
          const { ring, operations, memory } = setUp(fileSectors, depth);
          const expected = new Map<number, number>();
          let written = 0;
          let ended = 0;
          let next = 0;
          const write = (sectors: number, ahead: number): void => {
            const at = (next + ahead) * SECTOR;
            next += ahead + sectors;
            const from = memory + ((written * 4 * SECTOR) % 4096);
            // A piece of memory serves again once nobody can be writing from it.
            if (written - ended >= 4096 / (4 * SECTOR)) return;
            ring.memory.bytes.fill((written % 250) + 2, from, from + sectors * SECTOR);
            for (let i = 0; i < sectors * SECTOR; i++) expected.set(at + i, (written % 250) + 2);
            written++;
            const complete = (result: number): void => {
              expect(result).toBe(sectors * SECTOR);
              ended++;
            };
            operations.transfer({ complete }, WRITE, at, from, sectors * SECTOR);
          };
          for (const one of steps) {
            if (one.kind === 'write') write(one.sectors, one.ahead);
            else if (one.kind === 'tick') ring.tick();
            else if (ring.parked.length > 0)
              ring.complete(one.which % ring.parked.length, one.error, one.limit);
            operations.invariants();
          }
          for (let left = 10_000; ended < written && left > 0; left--) {
            if (ring.parked.length > 0) ring.complete(0, 0, 4096);
            else ring.tick();
            operations.invariants();
          }
          expect(ended).toBe(written);
          expect(operations.inFlight).toBe(0);
          for (const [at, byte] of expected) expect(ring.file[at]).toBe(byte);
        },
      ),
      { numRuns: 300 },
    );
  });
});
