import { createArena, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { affordableBufferCount, type BufferWaiter, ReceivePool } from '../src/receive-pool.ts';

const memory = new ShardMemory(createArena(4 * 1024 * 1024));

/** The kernel's side: takes buffers in the order in which they were published. */
class KernelSide {
  readonly view: DataView;
  head = 0;
  readonly count: number;
  constructor(ring: ArrayBuffer, count: number) {
    this.count = count;
    this.view = new DataView(ring);
  }

  get available(): number {
    return (this.view.getUint16(14, true) - this.head) & 0xffff;
  }

  take(): { id: number; offset: number; length: number } {
    const at = (this.head & (this.count - 1)) * 16;
    this.head = (this.head + 1) & 0xffff;
    const address = this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 4294967296;
    return {
      id: this.view.getUint16(at + 12, true),
      offset: address - memory.arena.address,
      length: this.view.getUint32(at + 8, true),
    };
  }
}

function makePool(bufferCount: number): { pool: ReceivePool; kernel: KernelSide; scheduled: () => number } {
  let kernel: KernelSide | undefined;
  let scheduled = 0;
  const pool = new ReceivePool(
    memory,
    {
      registerBufferRing: (_group, count) => {
        const ring = new ArrayBuffer(count * 16);
        kernel = new KernelSide(ring, count);
        return ring;
      },
      scheduleWaiters: () => {
        scheduled++;
      },
    },
    { groupId: 1, bufferBytes: 512, bufferCount },
  );
  if (kernel === undefined) throw new Error('no ring was registered');
  return { pool, kernel, scheduled: () => scheduled };
}

class Waiter implements BufferWaiter {
  served = 0;
  buffersAvailable(): void {
    this.served++;
  }
}

describe('receive pool', () => {
  test('publishes every buffer once, also over the wrap of the 16-bit tail', () => {
    const { pool, kernel } = makePool(8);
    expect(kernel.available).toBe(8);
    for (let i = 0; i < 70_000; i++) {
      const { id, offset, length } = kernel.take();
      if (offset !== pool.offsetOf(id) || length !== 512)
        throw new Error(`round ${i}: buffer ${id} at ${offset}`);
      pool.take(id);
      pool.release(offset);
    }
    expect(kernel.available).toBe(8);
    pool.invariants();
  });

  test('any order of taking and giving back leaves each buffer in one place', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat()), { maxLength: 200 }), (steps) => {
        const { pool, kernel } = makePool(16);
        const out: number[] = [];
        for (const [take, pick] of steps) {
          if (take && kernel.available > 0) {
            const { id } = kernel.take();
            expect(out).not.toContain(id);
            pool.take(id);
            out.push(id);
          } else if (!take && out.length > 0) {
            const [id] = out.splice(pick % out.length, 1);
            pool.giveBack(id);
          }
          expect(pool.free).toBe(16 - out.length);
          expect(kernel.available).toBe(16 - out.length);
          expect(pool.isLow).toBe(16 - out.length < 4);
          pool.invariants();
        }
        memory.free(pool.offsetOf(0));
      }),
    );
  });

  test('notices a buffer that comes back twice or was never given', () => {
    const { pool, kernel } = makePool(8);
    const { id } = kernel.take();
    pool.take(id);
    expect(() => pool.take(id)).toThrowError(expect.objectContaining({ code: 'SUNSTAR_RECEIVE_POOL' }));
    pool.giveBack(id);
    expect(() => pool.giveBack(id)).toThrowError(/twice/);
  });

  test('serves waiters in order, as many as there are buffers, until all are served', () => {
    const { pool, kernel, scheduled } = makePool(8);
    const ids = Array.from({ length: 8 }, () => kernel.take().id);
    for (const id of ids) pool.take(id);
    const waiters = Array.from({ length: 5 }, () => new Waiter());
    for (const waiter of waiters) pool.wait(waiter);
    expect(scheduled()).toBe(0);
    pool.giveBack(ids[0]);
    pool.giveBack(ids[1]);
    expect(scheduled()).toBe(1);
    pool.stopWaiting(waiters[1]);
    pool.serveWaiters();
    expect(waiters.map((waiter) => waiter.served)).toEqual([1, 0, 1, 0, 0]);
    // Neither took a buffer: the others must not wait for a buffer that comes back.
    expect(scheduled()).toBe(2);
    pool.serveWaiters();
    expect(waiters.map((waiter) => waiter.served)).toEqual([1, 0, 1, 1, 1]);
    expect(pool.waiterCount).toBe(0);
    expect(scheduled()).toBe(2);
    pool.invariants();
  });

  test('frees its memory when the ring is refused', () => {
    const before = memory.stats().usedBytes;
    expect(
      () =>
        new ReceivePool(
          memory,
          {
            registerBufferRing: () => {
              throw new Error('refused');
            },
            scheduleWaiters: () => {},
          },
          { groupId: 1, bufferBytes: 4096, bufferCount: 8 },
        ),
    ).toThrowError('refused');
    expect(memory.stats().usedBytes).toBe(before);
  });
});

test('a shard gives at most a sixteenth of its memory to receive buffers', () => {
  expect(affordableBufferCount(256 * 2 ** 20, 4096, 1024)).toBe(1024);
  expect(affordableBufferCount(16 * 2 ** 20, 4096, 1024)).toBe(256);
  expect(affordableBufferCount(2 ** 20, 4096, 1024)).toBe(16);
  expect(affordableBufferCount(2 ** 20, 131_072, 1024)).toBe(8);
  expect(affordableBufferCount(2 ** 32, 4096, 10 ** 6)).toBe(32_768);
});
