import { type Completion, DEFAULT_IO_OPTIONS, ERRNO, IORING_OP, IoQueue, TimerWheel } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
// The same module as the one that the package's entry uses, which does not export it.
import { swapGroup } from '../../runtime/dist/scheduling/current-group.js';
import { FileOperations, type Ticket } from '../src/file-operations.js';
import { ManualRing } from './manual-ring.js';

const SECTOR = 512;

function setUp(
  depth: number,
  maxQueued: number,
  maxInFlight: number,
): { ring: ManualRing; operations: FileOperations; queue: IoQueue } {
  const ring = new ManualRing();
  const groups = [0, 1, 2].map((id) => ({
    id,
    name: `group ${id}`,
    parent: undefined,
    ioShares: 100 * (id + 1),
    ioBytesPerSecond: Number.POSITIVE_INFINITY,
  }));
  const queue = new IoQueue({
    device: '1:1',
    clock: { nowMs: 0, tickMs: 0 },
    timers: new TimerWheel(),
    groupOf: (id) => groups[id],
    swapGroup,
    options: { ...DEFAULT_IO_OPTIONS, limitSingleGroup: true, maxInFlight },
  });
  const operations = new FileOperations({
    reactor: ring,
    memory: ring.memory,
    fd: 3,
    queue,
    alignmentBytes: SECTOR,
    depth,
    maxQueued,
  });
  return { ring, operations, queue };
}

class Result implements Completion {
  value: number | null = null;
  ticket: Ticket | null = null;

  complete(result: number): void {
    expect(this.value).toBeNull();
    this.value = result;
    this.ticket = null;
  }
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      group: fc.nat({ max: 2 }),
      sectors: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sync' as const), group: fc.nat({ max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), index: fc.nat() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('complete' as const, 'complete' as const, 'arrive' as const),
      index: fc.nat(),
      error: fc.constantFrom(0, 0, 0, 0, -ERRNO.EINTR, -ERRNO.EIO),
      limit: fc.constantFrom(SECTOR, 1e9, 1e9),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fill' as const), capacity: fc.nat({ max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('tick' as const) }) },
);

describe('operations behind the queue of a device', () => {
  it('complete each once, in any order, whatever is cancelled, refused or interrupted', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 120 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        async (steps, depth, maxQueued, maxInFlight) => {
          const { ring, operations, queue } = setUp(depth, maxQueued, maxInFlight);
          const results: Result[] = [];
          const check = (): void => {
            // An operation that the full ring refused leaves its place when the refusal is delivered.
            if (ring.deferred.length === 0) operations.invariants();
            queue.invariants();
            expect(queue.inFlight).toBeLessThanOrEqual(maxInFlight);
            // One that is tried again, or goes on, has kept its place.
            const withDevice = ring.parked.filter(
              (one) => one.opcode === IORING_OP.WRITE && one.result === undefined,
            );
            expect(withDevice.length).toBeLessThanOrEqual(queue.inFlight);
          };
          for (const one of steps) {
            if (one.do === 'write' || one.do === 'sync') {
              const before = swapGroup(one.group);
              const result = new Result();
              results.push(result);
              if (one.do === 'sync') operations.submit(result, IORING_OP.FSYNC, 0, 0, 0);
              else {
                const position = results.length * 8 * SECTOR;
                result.ticket = operations.transfer(
                  result,
                  IORING_OP.WRITE,
                  position,
                  0,
                  one.sectors * SECTOR,
                );
              }
              expect(result.value).toBeNull();
              swapGroup(before);
            } else if (one.do === 'cancel' && results.length > 0) {
              const result = results[one.index % results.length];
              const { ticket } = result;
              if (ticket !== null) {
                // With the ring, or refused by it half-way.
                const isWithRing =
                  ring.parked.some((each) => each.completion === ticket) || ticket.target !== result;
                operations.cancel(ticket, result);
                expect(result.value).toBe(isWithRing ? null : -ERRNO.ECANCELED);
              }
            } else if (one.do === 'complete' && ring.parked.length > 0) {
              ring.complete(one.index % ring.parked.length, one.error, one.limit);
            } else if (one.do === 'arrive' && ring.parked.length > 0) {
              ring.arrive(one.index % ring.parked.length, one.error, one.limit);
            } else if (one.do === 'fill') ring.capacity = one.capacity;
            else if (one.do === 'tick') ring.tick();
            check();
          }
          ring.capacity = Number.POSITIVE_INFINITY;
          const closing = operations.close();
          while (ring.parked.length > 0 || ring.deferred.length > 0) {
            ring.tick();
            if (ring.parked.length > 0) ring.complete(0, 0, 1e9);
            check();
          }
          await closing;
          expect(results.some((one) => one.value === null)).toBe(false);
          expect(operations.inFlight + operations.queued + queue.inFlight + queue.queued).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are cancelled only for who asked for them', () => {
    const { ring, operations } = setUp(2, 10, 1);
    const first = new Result();
    const ticket = operations.transfer(first, IORING_OP.WRITE, 0, 0, 2 * SECTOR);
    // Half of it is written, and the ring takes the rest no more.
    ring.capacity = 0;
    ring.complete(0, 0, SECTOR);
    ring.capacity = 1;
    const [second, third] = [new Result(), new Result()];
    operations.transfer(second, IORING_OP.WRITE, 0, 0, SECTOR);
    operations.transfer(third, IORING_OP.WRITE, 0, 0, SECTOR);
    if (ticket !== null) operations.cancel(ticket, first);
    ring.tick();
    expect([first.value, second.value, third.value]).toEqual([-ERRNO.EBUSY, null, null]);
    while (ring.parked.length > 0) ring.complete(0, 0, 1e9);
    expect([second.value, third.value]).toEqual([SECTOR, SECTOR]);
  });

  it('let no group wait behind another one on the same file', () => {
    const { ring, operations } = setUp(4, 1000, 1000);
    for (let i = 0; i < 50; i++) operations.transfer(new Result(), IORING_OP.WRITE, i * SECTOR, 0, SECTOR);
    expect(ring.parked).toHaveLength(4);
    const before = swapGroup(1);
    operations.transfer(new Result(), IORING_OP.READ, 0, 0, SECTOR);
    swapGroup(before);
    expect(ring.parked.map((one) => one.opcode)).toEqual([
      ...Array<number>(4).fill(IORING_OP.WRITE),
      IORING_OP.READ,
    ]);
  });
});
