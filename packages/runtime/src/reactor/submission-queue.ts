import type { Ring, RingDescription } from '@sunstar/native';
import { SunstarError, systemError } from '../errors.js';

const WORDS_PER_ENTRY = 16;
const TWO_32 = 4294967296;

/** The kernel's submission queue, written with typed arrays. */
export class SubmissionQueue {
  readonly #ring: Ring;
  readonly #queues: Int32Array;
  readonly #entries: Int32Array;
  readonly #mask: number;
  readonly #headAt: number;
  readonly #tailAt: number;
  #tail = 0;

  constructor(description: RingDescription, queues: Int32Array) {
    this.#ring = description.ring;
    this.#queues = queues;
    this.#entries = new Int32Array(description.entries);
    this.#mask = description.sqEntries - 1;
    this.#headAt = description.sqHead;
    this.#tailAt = description.sqTail;
  }

  /** Whether the kernel has taken everything that was queued. */
  get isTaken(): boolean {
    return this.#tail === this.#queues[this.#headAt];
  }

  /** Entries that the kernel has not taken. */
  get pending(): number {
    return (this.#tail - this.#queues[this.#headAt]) | 0;
  }

  /** Makes room for one entry. @throws SunstarError `SUNSTAR_RING_FULL` */
  reserve(): void {
    if (this.pending > this.#mask) this.#makeRoom();
  }

  /** Writes an entry; there must be room. The arguments are those of `Reactor.submit`. */
  push(
    id: number,
    tag: number,
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags: number,
    sqeFlags: number,
    ioprio: number,
    bufferGroup: number,
  ): void {
    const tail = this.#tail;
    const entries = this.#entries;
    const at = (tail & this.#mask) * WORDS_PER_ENTRY;
    entries[at] = opcode | (sqeFlags << 8) | (ioprio << 16);
    entries[at + 1] = fd;
    entries[at + 2] = offset >>> 0;
    entries[at + 3] = Math.floor(offset / TWO_32);
    entries[at + 4] = address >>> 0;
    entries[at + 5] = Math.floor(address / TWO_32);
    entries[at + 6] = length;
    entries[at + 7] = opFlags;
    entries[at + 8] = id;
    entries[at + 9] = tag;
    entries[at + 10] = bufferGroup;
    entries[at + 11] = 0;
    entries[at + 12] = 0;
    entries[at + 13] = 0;
    entries[at + 14] = 0;
    entries[at + 15] = 0;
    this.#tail = (tail + 1) | 0;
    // The kernel reads the tail only inside an enter of this same thread: no barrier is needed.
    this.#queues[this.#tailAt] = this.#tail;
  }

  #makeRoom(): void {
    const result = this.#ring.enter(0);
    if (this.pending <= this.#mask) return;
    throw new SunstarError(
      'SUNSTAR_RING_FULL',
      `The submission queue is full and the kernel takes no more (${systemError('io_uring_enter', Math.min(result, -1)).message}) ` +
        'Bound the concurrency of the caller.',
    );
  }
}
