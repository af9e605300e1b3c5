import type { BlockOwner } from '@sunstar/iobuf';
import type { ShardMemory } from '@sunstar/runtime';
import { IORING_CQE_F, SunstarError } from '@sunstar/runtime';

/** Bytes of one `struct io_uring_buf`: u64 address, u32 length, u16 buffer id, u16 reserved. */
const ENTRY_BYTES = 16;
/** The ring's tail lies in the reserved field of the first entry. */
const TAIL_WORD = 7;
const TWO_POW_32 = 4294967296;
const storesKeepOrder: boolean = process.arch === 'x64';
const { BUF_MORE } = IORING_CQE_F;
/** The longest piece that is copied when it is kept: its copy costs less than to hold a buffer for it. */
const LONGEST_COPY_BYTES = 4096;

/**
 * Of buffers that are used up bit by bit, as many are with the kernel at first: so the same few are used again and again,
 * which the processor's cache holds, as long as they suffice.
 */
const FEW_BUFFERS = 8;

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
  registerBufferRing(groupId: number, entryCount: number, isIncremental: boolean): ArrayBuffer;
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
  /**
   * Each buffer takes one piece of data behind the other until it is full (`IOU_PBUF_RING_INC`), whichever connections
   * they are of; else a piece takes a whole buffer.
   */
  readonly isIncremental: boolean;
}

/**
 * Buffers of shard memory that the kernel fills: a provided-buffer ring (`IORING_REGISTER_PBUF_RING`).
 * A receive takes none while it waits, only when there is data, so that ten thousand idle connections
 * hold no memory.
 *
 * A buffer is with the kernel until it is full, with its first piece unless the pool is incremental; then it is out,
 * until nobody needs its bytes any more: who looks at a piece calls {@link done}, and each iobuf fragment that
 * {@link adopted} one calls {@link release}. Then it is with the kernel again, or spare while that has enough of them.
 *
 * The kernel does not say where in a buffer a piece lies: it is behind those before it. So {@link take} must be called
 * for the completions in the order in which they were posted.
 */
export class ReceivePool implements BlockOwner {
  readonly groupId: number;
  /** Bytes of each buffer. */
  readonly bufferBytes: number;
  /** Number of buffers, with the kernel, spare or out. */
  readonly bufferCount: number;
  /** When fewer than this are free, what is kept is copied out of the pool. */
  readonly lowWater: number;
  /** Pieces up to so many bytes are copied when they are kept. */
  readonly copiedBytes: number;
  readonly isIncremental: boolean;

  readonly #memory: ShardMemory;
  readonly #host: ReceivePoolHost;
  readonly #base: number;
  readonly #shift: number;
  readonly #words: Uint32Array;
  readonly #halves: Uint16Array;
  /** For each buffer: 1 while the kernel fills it, 1 for each piece until it is done, and 1 for each that was adopted. */
  readonly #references: Uint32Array;
  /** Bytes of each buffer that the kernel has used. */
  readonly #used: Uint32Array;
  /** Buffers that nobody needs and the kernel does not have, the one that was used last on top. */
  readonly #spare: number[] = [];
  /** How many buffers the kernel should have. */
  #wanted: number;
  readonly #waiters = new Set<BufferWaiter>();
  #waitersScheduled = false;
  #tail = 0;
  #free = 0;

  constructor(memory: ShardMemory, host: ReceivePoolHost, options: ReceivePoolOptions) {
    const { groupId, bufferBytes, bufferCount, isIncremental } = options;
    this.groupId = groupId;
    this.bufferBytes = bufferBytes;
    this.bufferCount = bufferCount;
    this.isIncremental = isIncremental;
    this.#wanted = isIncremental ? Math.min(FEW_BUFFERS, bufferCount) : bufferCount;
    this.lowWater = bufferCount >>> 2;
    this.copiedBytes = isIncremental ? Math.min(LONGEST_COPY_BYTES, bufferBytes >>> 2) : bufferBytes >>> 2;
    this.#memory = memory;
    this.#host = host;
    this.#shift = 31 - Math.clz32(bufferBytes);
    this.#base = memory.allocatePermanent(bufferBytes * bufferCount);
    this.#references = new Uint32Array(bufferCount);
    this.#used = new Uint32Array(bufferCount).fill(bufferBytes);
    let ring: ArrayBuffer;
    try {
      ring = host.registerBufferRing(groupId, bufferCount, isIncremental);
    } catch (error) {
      memory.free(this.#base);
      throw error;
    }
    this.#words = new Uint32Array(ring, 0, bufferCount * (ENTRY_BYTES / 4));
    this.#halves = new Uint16Array(ring, 0, bufferCount * (ENTRY_BYTES / 2));
    for (let id = 0; id < bufferCount; id++) this.#giveBack(id);
  }

  /** Buffers that the kernel has, as far as completions have told, or can be given. */
  get free(): number {
    return this.#free;
  }

  /** Buffers that the kernel has. */
  get #withKernel(): number {
    return this.#free - this.#spare.length;
  }

  /** Pieces that are being looked at, wait for it, or were adopted. */
  get heldPieces(): number {
    let references = 0;
    for (let id = 0; id < this.bufferCount; id++) references += this.#references[id];
    return references - this.#free;
  }

  /** Few buffers are left: copy what is kept, so that a slow consumer cannot hold the whole pool. */
  get isLow(): boolean {
    return this.#free < this.lowWater;
  }

  /** Receives that wait for a buffer. */
  get waiterCount(): number {
    return this.#waiters.size;
  }

  /**
   * A completion said that the kernel used so many bytes of this buffer; returns where they begin in the arena. They
   * stay as they are until {@link done}, and longer if they are {@link adopted}.
   *
   * @param flags - Those of the completion.
   */
  take(id: number, sizeBytes: number, flags: number): number {
    const bufferBytes = this.bufferBytes;
    const before = this.#used[id];
    const after = before + sizeBytes;
    if (before >= bufferBytes || after > bufferBytes) throw notThere(id, sizeBytes);
    const at = this.#base + id * bufferBytes + before;
    // Where nothing was received, kernels before 7.0 say wrongly that the buffer is used up.
    if (this.isIncremental && after < bufferBytes && ((flags & BUF_MORE) !== 0 || sizeBytes === 0)) {
      this.#used[id] = after;
      this.#references[id]++;
      return at;
    }
    // The kernel's reference becomes the piece's.
    this.#used[id] = bufferBytes;
    this.#free--;
    if (this.#spare.length > 0) this.#provide(this.#spare.pop() as number);
    return at;
  }

  /** Who looked at a piece of this buffer does not any more; once for each {@link take}. */
  done(id: number): void {
    const left = this.#references[id] - 1;
    // The last one is the kernel's until the buffer is full.
    if (left < 0 || (left === 0 && this.#used[id] !== this.bufferBytes)) throw givenBackTwice(id);
    this.#references[id] = left;
    if (left === 0) this.#giveBack(id);
  }

  /** Before {@link done}: an iobuf adopts a piece of this buffer and will {@link release} it. */
  adopted(offset: number): void {
    this.#references[(offset - this.#base) >>> this.#shift]++;
  }

  /** The last iobuf that adopted the piece at this arena offset let go of it. */
  release(offset: number): void {
    this.done((offset - this.#base) >>> this.#shift);
  }

  /** Nobody needs a buffer (any more): the kernel may have it. */
  #giveBack(id: number): void {
    this.#references[id] = 1;
    this.#used[id] = 0;
    if (this.#withKernel < this.#wanted) this.#provide(id);
    else this.#spare.push(id);
    this.#free++;
    if (this.#waiters.size > 0 && !this.#waitersScheduled) {
      this.#waitersScheduled = true;
      this.#host.scheduleWaiters();
    }
  }

  /** Hands a buffer to the kernel. */
  #provide(id: number): void {
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
  }

  /** Calls {@link BufferWaiter.buffersAvailable} once, as soon as there is a buffer. */
  wait(waiter: BufferWaiter): void {
    // The kernel ran out of buffers before it was given more of them: it should have had more. Those who wait with the
    // first ran out of the same ones.
    if (this.#waiters.size === 0) this.#wanted = Math.min(this.bufferCount, this.#wanted * 2);
    this.#waiters.add(waiter);
    while (this.#spare.length > 0 && this.#withKernel < this.#wanted)
      this.#provide(this.#spare.pop() as number);
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
    for (let id = 0; id < this.bufferCount; id++) {
      if (this.#references[id] === 0) throw poolError(`Buffer ${id} is lost.`);
      if (this.#used[id] === this.bufferBytes) out++;
      else if (!this.isIncremental && (this.#used[id] > 0 || this.#references[id] > 1))
        throw poolError(`Buffer ${id} is with the kernel and in use.`);
    }
    if (this.#withKernel < 0) throw poolError(`${this.#spare.length} spare of ${this.#free} free buffers.`);
    for (const id of this.#spare)
      if (this.#references[id] !== 1 || this.#used[id] > 0) throw poolError(`Spare buffer ${id} is in use.`);
    if (this.#spare.length > 0 && this.#withKernel < this.#wanted) throw poolError('Buffers are held back.');
    if (out + this.#free !== this.bufferCount) throw poolError(`${out} out, ${this.#free} free.`);
    if (this.#waiters.size > 0 && this.#free > 0 && !this.#waitersScheduled) {
      throw poolError('Buffers and waiters, but nobody brings them together.');
    }
    if (this.#halves[TAIL_WORD] !== this.#tail) throw poolError('The tail was overwritten.');
  }
}

function notThere(id: number, sizeBytes: number): SunstarError {
  return poolError(`The kernel used ${sizeBytes} bytes of receive buffer ${id}, which it did not have.`);
}

function givenBackTwice(id: number): SunstarError {
  return poolError(`Receive buffer ${id} was given back twice.`);
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
