import { createArena, IORING_CQE_F, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { affordableBufferCount, type BufferWaiter, ReceivePool } from '../src/receive-pool.ts';

const memory = new ShardMemory(createArena(4 * 1024 * 1024));

const BUFFER_BYTES = 512;

/** The kernel's side: takes buffers in the order in which they were published, whole or bit by bit. */
class KernelSide {
  readonly view: DataView;
  head = 0;
  readonly count: number;
  readonly isIncremental: boolean;
  constructor(ring: ArrayBuffer, count: number, isIncremental: boolean) {
    this.count = count;
    this.isIncremental = isIncremental;
    this.view = new DataView(ring);
  }

  get available(): number {
    return (this.view.getUint16(14, true) - this.head) & 0xffff;
  }

  /** Uses as many bytes as fit; 0 is the end of a connection's input. */
  take(sizeBytes: number): { id: number; offset: number; length: number; flags: number } {
    const at = (this.head & (this.count - 1)) * 16;
    const address = this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 4294967296;
    const room = this.view.getUint32(at + 8, true);
    const length = Math.min(sizeBytes, room);
    const piece = { id: this.view.getUint16(at + 12, true), offset: address - memory.arena.address, length };
    if (this.isIncremental && length < room) {
      const next = address + length;
      this.view.setUint32(at, next % 4294967296, true);
      this.view.setUint32(at + 4, next / 4294967296, true);
      this.view.setUint32(at + 8, room - length, true);
      // As kernels before 7.0 have it: the flag is missing where nothing was received.
      return { ...piece, flags: length > 0 ? IORING_CQE_F.BUF_MORE : 0 };
    }
    this.head = (this.head + 1) & 0xffff;
    return { ...piece, flags: 0 };
  }
}

function makePool(
  bufferCount: number,
  isIncremental = false,
): { pool: ReceivePool; kernel: KernelSide; scheduled: () => number } {
  let kernel: KernelSide | undefined;
  let scheduled = 0;
  const pool = new ReceivePool(
    memory,
    {
      registerBufferRing: (_group, count, incremental) => {
        const ring = new ArrayBuffer(count * 16);
        kernel = new KernelSide(ring, count, incremental);
        return ring;
      },
      scheduleWaiters: () => {
        scheduled++;
      },
    },
    { groupId: 1, bufferBytes: BUFFER_BYTES, bufferCount, isIncremental },
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

type PoolStep =
  | {
      readonly kind: 'receive';
      readonly sizeBytes: number;
      readonly isLooked: boolean;
      readonly isKept: boolean;
    }
  | { readonly kind: 'look' }
  | { readonly kind: 'letGo'; readonly pick: number };

const poolStep: fc.Arbitrary<PoolStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('receive' as const),
      sizeBytes: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 0, max: 80 }) },
        fc.integer({ min: 0, max: 1000 }),
      ),
      isLooked: fc.boolean(),
      isKept: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'look' as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('letGo' as const), pick: fc.nat() }) },
);

interface Piece {
  readonly id: number;
  readonly offset: number;
  readonly length: number;
  readonly isKept: boolean;
}

/** Every byte of the pool is the kernel's, or somebody's who still needs it: never both. */
class PoolBooks {
  readonly #pool: ReceivePool;
  readonly #kernel: KernelSide;
  readonly #origin: number;
  /** Pieces that were taken and not looked at, as those of a scheduling group that waits for its turn. */
  readonly #waiting: Piece[] = [];
  readonly #kept: Piece[] = [];
  readonly #isNeeded: Uint8Array;
  mostPiecesOfABuffer = 0;

  constructor(pool: ReceivePool, kernel: KernelSide, origin: number) {
    this.#pool = pool;
    this.#kernel = kernel;
    this.#origin = origin;
    this.#isNeeded = new Uint8Array(pool.bufferBytes * pool.bufferCount);
  }

  step(step: PoolStep): void {
    if (step.kind === 'receive') {
      if (this.#kernel.available === 0) this.#runDry();
      if (this.#kernel.available > 0) this.#receive(step.sizeBytes, step.isKept);
      if (step.isLooked) this.#lookAtAll();
    } else if (step.kind === 'look') this.#lookAtAll();
    else if (this.#kept.length > 0) this.#letGo(step.pick % this.#kept.length);
    this.#check();
  }

  letGoOfAll(): void {
    this.#lookAtAll();
    while (this.#kept.length > 0) this.#letGo(this.#kept.length >>> 1);
    this.#check();
  }

  /** A receive ended for want of a buffer. */
  #runDry(): void {
    const waiter = new Waiter();
    this.#pool.wait(waiter);
    this.#pool.serveWaiters();
    expect(waiter.served).toBe(this.#pool.free > 0 ? 1 : 0);
    this.#pool.stopWaiting(waiter);
  }

  #receive(sizeBytes: number, isKept: boolean): void {
    const { id, offset, length, flags } = this.#kernel.take(sizeBytes);
    expect(this.#pool.take(id, length, flags)).toBe(offset);
    const at = offset - this.#origin;
    // The kernel has just written here.
    expect(this.#isNeeded.subarray(at, at + length).includes(1)).toBe(false);
    this.#isNeeded.fill(1, at, at + length);
    this.#waiting.push({ id, offset, length, isKept: isKept && length > 0 });
  }

  #lookAtAll(): void {
    for (const piece of this.#waiting.splice(0)) {
      if (piece.isKept) {
        this.#pool.adopted(piece.offset);
        this.#kept.push(piece);
      } else this.#forget(piece);
      this.#pool.done(piece.id);
    }
  }

  #letGo(index: number): void {
    const [piece] = this.#kept.splice(index, 1);
    this.#forget(piece);
    this.#pool.release(piece.offset);
  }

  #forget({ offset, length }: Piece): void {
    this.#isNeeded.fill(0, offset - this.#origin, offset - this.#origin + length);
  }

  #check(): void {
    const { bufferCount } = this.#pool;
    const held = [...this.#waiting, ...this.#kept];
    expect(this.#pool.heldPieces).toBe(held.length);
    const { free } = this.#pool;
    // Some may be held back, but never the last.
    if (bufferCount <= 8) expect(this.#kernel.available).toBe(free);
    expect(this.#kernel.available).toBeLessThanOrEqual(free);
    expect(this.#kernel.available > 0).toBe(free > 0);
    expect(this.#pool.isLow).toBe(free < bufferCount / 4);
    const pieces = new Array<number>(bufferCount).fill(0);
    for (const { id } of held) pieces[id]++;
    this.mostPiecesOfABuffer = Math.max(this.mostPiecesOfABuffer, ...pieces);
    this.#pool.invariants();
  }
}

/** Where the pool's memory begins. */
function poolOrigin(kernel: KernelSide): number {
  return kernel.view.getUint32(0, true) + kernel.view.getUint32(4, true) * 4294967296 - memory.arena.address;
}

describe('receive pool', () => {
  test('publishes every buffer once, also over the wrap of the 16-bit tail', () => {
    const { pool, kernel } = makePool(8);
    expect(kernel.available).toBe(8);
    for (let i = 0; i < 70_000; i++) {
      const { id, offset, length } = kernel.take(BUFFER_BYTES);
      if (length !== BUFFER_BYTES || pool.take(id, length, 0) !== offset)
        throw new Error(`round ${i}: buffer ${id} at ${offset}`);
      pool.adopted(offset);
      pool.done(id);
      pool.release(offset);
    }
    expect(kernel.available).toBe(8);
    pool.invariants();
  });

  test.each([
    ['whole', false, 8],
    ['incremental', true, 8],
    ['many incremental', true, 32],
  ])(
    '%s buffers: whatever is kept for how long, no piece is overwritten before it was let go',
    (_name, isIncremental, count) => {
      let shared = 0;
      fc.assert(
        fc.property(fc.array(poolStep, { minLength: 20, maxLength: 200 }), (steps) => {
          const { pool, kernel } = makePool(count, isIncremental);
          const origin = poolOrigin(kernel);
          const books = new PoolBooks(pool, kernel, origin);
          for (const one of steps) books.step(one);
          shared = Math.max(shared, books.mostPiecesOfABuffer);
          books.letGoOfAll();
          expect(pool.free).toBe(count);
          expect(pool.heldPieces).toBe(0);
          memory.free(origin);
        }),
        { numRuns: 300 },
      );
      // Else the property has not seen what it is about.
      if (isIncremental) expect(shared).toBeGreaterThan(5);
      else expect(shared).toBe(1);
    },
  );

  test('uses the same few of many incremental buffers again and again, and more when they do not suffice', () => {
    const { pool, kernel, scheduled } = makePool(64, true);
    const used = new Set<number>();
    const receive = (): number => {
      const { id, length, flags } = kernel.take(BUFFER_BYTES);
      pool.take(id, length, flags);
      used.add(id);
      return id;
    };
    for (let i = 0; i < 1000; i++) pool.done(receive());
    expect(used.size).toBe(9);
    expect(pool.free).toBe(64);
    for (const available of [8, 16, 32, 64]) {
      expect(kernel.available).toBe(available);
      // All of them are full before anybody looks.
      const pieces = Array.from({ length: available }, () => kernel.take(BUFFER_BYTES));
      for (const { id, length, flags } of pieces) pool.take(id, length, flags);
      const waiter = new Waiter();
      pool.wait(waiter);
      if (available < 64) pool.serveWaiters();
      expect(waiter.served).toBe(available < 64 ? 1 : 0);
      for (const { id } of pieces) pool.done(id);
      pool.stopWaiting(waiter);
      pool.invariants();
    }
    expect(scheduled()).toBeGreaterThan(0);
    expect(kernel.available).toBe(64);
  });

  test('the end of an input takes nothing from a buffer that others fill', () => {
    const { pool, kernel } = makePool(8, true);
    const first = kernel.take(100);
    pool.take(first.id, first.length, first.flags);
    pool.done(first.id);
    const end = kernel.take(0);
    expect(pool.take(end.id, 0, end.flags)).toBe(first.offset + 100);
    pool.done(end.id);
    expect(pool.free).toBe(8);
    const next = kernel.take(BUFFER_BYTES);
    expect(next).toMatchObject({ id: first.id, length: BUFFER_BYTES - 100 });
    expect(pool.take(next.id, next.length, next.flags)).toBe(next.offset);
    expect(pool.free).toBe(7);
    pool.done(next.id);
    expect(pool.free).toBe(8);
    pool.invariants();
  });

  test('a buffer that the kernel gives up early is not waited for', () => {
    const { pool, kernel } = makePool(8, true);
    const { id, offset } = kernel.take(100);
    // Without BUF_MORE, although there was room.
    expect(pool.take(id, 100, 0)).toBe(offset);
    expect(pool.free).toBe(7);
    pool.done(id);
    expect(pool.free).toBe(8);
  });

  test.each([
    ['whole', false],
    ['incremental', true],
  ])('%s buffers: notices one that comes back twice or was never given', (_name, isIncremental) => {
    const { pool, kernel } = makePool(8, isIncremental);
    const { id, offset, flags } = kernel.take(BUFFER_BYTES);
    const broken = expect.objectContaining({ code: 'SUNSTAR_RECEIVE_POOL' });
    pool.take(id, BUFFER_BYTES, flags);
    expect(() => pool.take(id, BUFFER_BYTES, flags)).toThrowError(broken);
    expect(() => pool.take(id + 1, BUFFER_BYTES + 1, flags)).toThrowError(broken);
    pool.done(id);
    expect(() => pool.done(id)).toThrowError(/twice/);
    expect(() => pool.release(offset)).toThrowError(/twice/);
    pool.invariants();
  });

  test('serves waiters in order, as many as there are buffers, until all are served', () => {
    const { pool, kernel, scheduled } = makePool(8);
    const ids = Array.from({ length: 8 }, () => kernel.take(1).id);
    for (const id of ids) pool.take(id, 1, 0);
    const waiters = Array.from({ length: 5 }, () => new Waiter());
    for (const waiter of waiters) pool.wait(waiter);
    expect(scheduled()).toBe(0);
    pool.done(ids[0]);
    pool.done(ids[1]);
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
          { groupId: 1, bufferBytes: 4096, bufferCount: 8, isIncremental: false },
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
