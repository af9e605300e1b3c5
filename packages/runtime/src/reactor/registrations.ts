import type { Ring } from '@sunstar/native';
import { ERRNO } from '../errno.js';
import type { Arena } from '../memory/arena.js';

/** The kernel registers at most 1 GiB as one buffer. */
const BUFFER_BYTES = 2 ** 30;
/** Places in the table of descriptors. */
const MAX_FILES = 1024;

/** What registrations need of the ring. */
export type RegistrationRing = Pick<Ring, 'registerBuffers' | 'registerFiles' | 'updateRegisteredFile'>;

/**
 * What a ring knows ahead of operations: the shard's memory, whose pages the kernel then need not look up for each
 * operation (READ_FIXED, SEND_ZC with a fixed buffer), and descriptors that it need not look up (IOSQE_FIXED_FILE).
 *
 * A ring has one set of buffers and one table of descriptors, so whoever wants them shares them here. Registered memory
 * stays in physical memory as a whole, and counts against `ulimit -l` except for root, until the ring is closed.
 * The emulated ring has neither: −EOPNOTSUPP.
 */
export class Registrations {
  readonly #ring: RegistrationRing;
  #arena: Arena | null = null;
  /** Places that are free; null until the first registration. */
  #freeSlots: number[] | null = null;
  #fileCount = 0;

  constructor(ring: RegistrationRing) {
    this.#ring = ring;
  }

  /** Bytes of memory that are registered. */
  get memoryBytes(): number {
    return this.#arena?.sizeBytes ?? 0;
  }

  /** Descriptors that are registered. */
  get fileCount(): number {
    return this.#fileCount;
  }

  /**
   * Registers the whole memory of the shard; nothing more is done when it is registered already.
   *
   * @returns 0 or a negative error number: −ENOMEM beyond `ulimit -l`, −EOPNOTSUPP on the emulated ring.
   */
  registerMemory(arena: Arena): number {
    if (this.#arena !== null) return this.#arena.address === arena.address ? 0 : -ERRNO.EBUSY;
    const { address, sizeBytes } = arena;
    const count = Math.ceil(sizeBytes / BUFFER_BYTES);
    const pieces = new Float64Array(count * 2);
    for (let i = 0; i < count; i++) {
      const start = i * BUFFER_BYTES;
      pieces[i * 2] = address + start;
      pieces[i * 2 + 1] = Math.min(BUFFER_BYTES, sizeBytes - start);
    }
    const result = this.#ring.registerBuffers(pieces);
    if (result >= 0) this.#arena = arena;
    return Math.min(result, 0);
  }

  /**
   * The registered buffer that a piece of the arena lies in; −1 when it lies in two of them, as pieces longer than a
   * block of the arena may. Only after {@link registerMemory}.
   */
  bufferOf(memoryOffset: number, length: number): number {
    const index = Math.floor(memoryOffset / BUFFER_BYTES);
    return memoryOffset + length <= (index + 1) * BUFFER_BYTES ? index : -1;
  }

  /**
   * Registers a descriptor.
   *
   * @returns Its place, for operations with `IOSQE.FIXED_FILE` in the place of the descriptor; or a negative error
   *   number: −EMFILE when all 1,024 places are taken, −EOPNOTSUPP on the emulated ring.
   */
  registerFile(fd: number): number {
    if (this.#freeSlots === null) {
      const result = this.#ring.registerFiles(new Int32Array(MAX_FILES).fill(-1));
      if (result < 0) return result;
      this.#freeSlots = Array.from({ length: MAX_FILES }, (_, i) => MAX_FILES - 1 - i);
    }
    const slot = this.#freeSlots.pop();
    if (slot === undefined) return -ERRNO.EMFILE;
    const result = this.#ring.updateRegisteredFile(slot, fd);
    if (result < 0) {
      this.#freeSlots.push(slot);
      return result;
    }
    this.#fileCount++;
    return slot;
  }

  /** Frees a place. The kernel keeps the file open until operations in flight are over. */
  unregisterFile(slot: number): void {
    this.#ring.updateRegisteredFile(slot, -1);
    this.#freeSlots?.push(slot);
    this.#fileCount--;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    const free = this.#freeSlots ?? [];
    if (new Set(free).size !== free.length)
      throw new Error('a place in the table of descriptors is free twice');
    if (this.#freeSlots !== null && free.length + this.#fileCount !== MAX_FILES)
      throw new Error('a place in the table of descriptors was lost');
  }
}
