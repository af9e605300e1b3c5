import type { BlockOwner } from '@sunstar/iobuf';
import type { ShardMemory } from '@sunstar/runtime';
import { SunstarError } from '@sunstar/runtime';

/** Bytes of one `struct io_uring_buf`: u64 address, u32 length, u16 buffer id, u16 reserved. */
const ENTRY_BYTES = 16;
/** The ring's tail lies in the reserved field of the first entry. */
const TAIL_WORD = 7;
const TWO_POW_32 = 4294967296;
const storesKeepOrder: boolean = process.arch === 'x64';

/** The smallest receive buffer. */
export const MIN_RECEIVE_BUFFER_BYTES = 512;
/** The largest receive buffer: the largest fragment of an iobuf. */
export const MAX_RECEIVE_BUFFER_BYTES = 131072;
/** The kernel's limit for one provided-buffer ring. */
export const MAX_RECEIVE_BUFFERS = 32768;

/** Someone whose receive ended for want of a buffer. */
export interface BufferWaiter {
  /** There is a buffer again; start to receive. */
  buffersAvailable(): void;
}

/** What the pool needs of its surroundings. */
export interface ReceivePoolHost {
  /** Memory of a provided-buffer ring of `entryCount` entries that the kernel takes buffers from. */
  registerBufferRing(groupId: number, entryCount: number): ArrayBuffer;
  /** Called at most once until {@link ReceivePool.serveWaiters} ran: there are buffers and waiters. */
  scheduleWaiters(): void;
}

/** The shape of a {@link ReceivePool}. */
export interface ReceivePoolOptions {
  readonly groupId: number;
  /** A power of two. */
  readonly bufferBytes: number;
  /** A power of two, at most {@link MAX_RECEIVE_BUFFERS}. */
  readonly bufferCount: number;
}

/**
 * Buffers of shard memory that the kernel fills: a provided-buffer ring (`IORING_REGISTER_PBUF_RING`).
 * A receive takes none while it waits, only when there is data, so that ten thousand idle connections
 * hold no memory.
 *
 * A buffer is either with the kernel, or out: its bytes are being looked at, or an iobuf adopted it.
 * Every buffer that is out comes back exactly once: by {@link giveBack}, or by {@link release} as the
 * owner of an adopted fragment.
 */
export class ReceivePool implements BlockOwner {
  readonly groupId: number;
  /** Bytes of each buffer. */
  readonly bufferBytes: number;
  /** Number of buffers, with the kernel or out. */
  readonly bufferCount: number;
  /** When fewer than this are with the kernel, what is kept is copied out of the pool. */
  readonly lowWater: number;

  readonly #memory: ShardMemory;
  readonly #host: ReceivePoolHost;
  readonly #base: number;
  readonly #shift: number;
  readonly #words: Uint32Array;
  readonly #halves: Uint16Array;
  readonly #isOut: Uint8Array;
  readonly #waiters = new Set<BufferWaiter>();
  #waitersScheduled = false;
  #tail = 0;
  #free = 0;

  constructor(memory: ShardMemory, host: ReceivePoolHost, options: ReceivePoolOptions) {
    const { groupId, bufferBytes, bufferCount } = options;
    this.groupId = groupId;
    this.bufferBytes = bufferBytes;
    this.bufferCount = bufferCount;
    this.lowWater = bufferCount >>> 2;
    this.#memory = memory;
    this.#host = host;
    this.#shift = 31 - Math.clz32(bufferBytes);
    this.#base = memory.allocatePermanent(bufferBytes * bufferCount);
    this.#isOut = new Uint8Array(bufferCount).fill(1);
    let ring: ArrayBuffer;
    try {
      ring = host.registerBufferRing(groupId, bufferCount);
    } catch (error) {
      memory.free(this.#base);
      throw error;
    }
    this.#words = new Uint32Array(ring, 0, bufferCount * (ENTRY_BYTES / 4));
    this.#halves = new Uint16Array(ring, 0, bufferCount * (ENTRY_BYTES / 2));
    for (let id = 0; id < bufferCount; id++) this.giveBack(id);
  }

  /** Buffers that are with the kernel, as far as completions have told. */
  get free(): number {
    return this.#free;
  }

  /** Few buffers are left: copy what is kept, so that a slow consumer cannot hold the whole pool. */
  get isLow(): boolean {
    return this.#free < this.lowWater;
  }

  /** Receives that wait for a buffer. */
  get waiterCount(): number {
    return this.#waiters.size;
  }

  /** Arena offset of a buffer. */
  offsetOf(id: number): number {
    return this.#base + id * this.bufferBytes;
  }

  /** A completion said that the kernel used this buffer. */
  take(id: number): void {
    if (this.#isOut[id] !== 0)
      throw poolError(`The kernel used receive buffer ${id}, which it did not have.`);
    this.#isOut[id] = 1;
    this.#free--;
  }

  /** Hands a buffer (again) to the kernel. */
  giveBack(id: number): void {
    if (this.#isOut[id] !== 1) throw poolError(`Receive buffer ${id} was given back twice.`);
    this.#isOut[id] = 0;
    this.#free++;
    const address = this.#memory.arena.address + this.#base + id * this.bufferBytes;
    const slot = this.#tail & (this.bufferCount - 1);
    const word = slot * 4;
    // Typed arrays keep the low 32 bits of what is stored.
    this.#words[word] = address;
    this.#words[word + 1] = address / TWO_POW_32;
    this.#words[word + 2] = this.bufferBytes;
    // As a half word: the other half of the first entry is the tail.
    this.#halves[slot * 8 + 6] = id;
    this.#tail = (this.#tail + 1) & 0xffff;
    // Published after the entry. Where the processor keeps stores in order a plain one does; an atomic one would wait
    // until all that was written before, such as an answer, has reached the cache.
    if (storesKeepOrder) this.#halves[TAIL_WORD] = this.#tail;
    else Atomics.store(this.#halves, TAIL_WORD, this.#tail);
    if (this.#waiters.size > 0 && !this.#waitersScheduled) {
      this.#waitersScheduled = true;
      this.#host.scheduleWaiters();
    }
  }

  /** The last iobuf that adopted the buffer at this arena offset let go of it. */
  release(offset: number): void {
    this.giveBack((offset - this.#base) >>> this.#shift);
  }

  /** Calls {@link BufferWaiter.buffersAvailable} once, as soon as there is a buffer. */
  wait(waiter: BufferWaiter): void {
    this.#waiters.add(waiter);
    if (this.#free > 0 && !this.#waitersScheduled) {
      this.#waitersScheduled = true;
      this.#host.scheduleWaiters();
    }
  }

  /** Forgets a waiter. */
  stopWaiting(waiter: BufferWaiter): void {
    this.#waiters.delete(waiter);
  }

  /**
   * Starts the receives that waited longest, as many as there are buffers. While both buffers and
   * waiters are left it is scheduled again: one that was started may take no buffer after all.
   */
  serveWaiters(): void {
    this.#waitersScheduled = false;
    let budget = this.#free;
    for (const waiter of this.#waiters) {
      if (budget-- <= 0) break;
      this.#waiters.delete(waiter);
      waiter.buffersAvailable();
    }
    if (this.#waiters.size > 0 && this.#free > 0 && !this.#waitersScheduled) {
      this.#waitersScheduled = true;
      this.#host.scheduleWaiters();
    }
  }

  /** Throws when the books do not add up. */
  invariants(): void {
    let out = 0;
    for (const flag of this.#isOut) out += flag;
    if (out + this.#free !== this.bufferCount) throw poolError(`${out} out, ${this.#free} with the kernel.`);
    if (this.#waiters.size > 0 && this.#free > 0 && !this.#waitersScheduled) {
      throw poolError('Buffers and waiters, but nobody brings them together.');
    }
    if (this.#halves[TAIL_WORD] !== this.#tail) throw poolError('The tail was overwritten.');
  }
}

function poolError(message: string): SunstarError {
  return new SunstarError('SUNSTAR_RECEIVE_POOL', `${message} This is a bug in sunstar; please report it.`);
}

/**
 * How many buffers a shard can afford: at most `wanted` and a sixteenth of its memory, a power of
 * two, at least 8.
 */
export function affordableBufferCount(memoryBytes: number, bufferBytes: number, wanted: number): number {
  const share = Math.max(8, Math.floor(memoryBytes / 16 / bufferBytes));
  return 2 ** Math.floor(Math.log2(Math.min(wanted, share, MAX_RECEIVE_BUFFERS)));
}
