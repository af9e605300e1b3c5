import type { AppendMemory } from './append-target.js';

/** A block of zeros and who uses it. */
interface Shared {
  readonly memoryOffset: number;
  users: number;
}

const blocksOf = new WeakMap<AppendMemory, Map<number, Shared>>();

/** Zeros in the arena to write from; appenders of one shard share them. */
export class ZeroBlock {
  readonly sizeBytes: number;
  readonly #memory: AppendMemory;
  readonly #alignmentBytes: number;
  #shared: Shared | null = null;

  constructor(memory: AppendMemory, sizeBytes: number, alignmentBytes: number) {
    this.#memory = memory;
    this.sizeBytes = sizeBytes;
    this.#alignmentBytes = alignmentBytes;
  }

  get isHeld(): boolean {
    return this.#shared !== null;
  }

  /** Where the zeros are in the arena. Nobody writes there. Throws OutOfMemoryError. */
  hold(): number {
    if (this.#shared === null) {
      const blocks = blocksOf.get(this.#memory) ?? new Map<number, Shared>();
      let shared = blocks.get(this.sizeBytes);
      if (shared === undefined) {
        const memoryOffset = this.#memory.allocateAligned(this.sizeBytes, this.#alignmentBytes);
        this.#memory.bytes.fill(0, memoryOffset, memoryOffset + this.sizeBytes);
        shared = { memoryOffset, users: 0 };
        blocks.set(this.sizeBytes, shared);
        blocksOf.set(this.#memory, blocks);
      }
      shared.users++;
      this.#shared = shared;
    }
    return this.#shared.memoryOffset;
  }

  /** Not needed any more; the last user frees the memory. */
  release(): void {
    const shared = this.#shared;
    this.#shared = null;
    if (shared === null || --shared.users > 0) return;
    blocksOf.get(this.#memory)?.delete(this.sizeBytes);
    this.#memory.free(shared.memoryOffset);
  }
}
