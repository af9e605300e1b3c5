import type { ShardMemory } from '@sunstar/runtime';

/** Blocks that are held at any time, 22 MiB together. */
const HELD = 2048;
const OPERATIONS = 65_536;
const LARGEST_BYTES = 131_072;

/**
 * What a busy program does: it holds some thousand blocks, and replaces now this one and now that one by one of another
 * size, 1 B to 128 KiB, as many small as large ones on a logarithmic scale.
 */
export class AllocationTrace {
  readonly operations: number = OPERATIONS;
  readonly #slots = new Uint16Array(OPERATIONS);
  readonly #sizes = new Uint32Array(OPERATIONS);
  readonly #nanoseconds = new Float64Array(OPERATIONS);
  readonly #blocks = new Float64Array(HELD).fill(-1);
  readonly #buffers = new Array<Uint8Array | undefined>(HELD);

  constructor() {
    for (let i = 0; i < OPERATIONS; i++) {
      this.#slots[i] = Math.floor(Math.random() * HELD);
      this.#sizes[i] = Math.ceil(LARGEST_BYTES ** Math.random());
    }
  }

  runBlocks(memory: ShardMemory, timed: boolean): void {
    const { bytes } = memory;
    for (let i = 0; i < OPERATIONS; i++) {
      const startedAt = timed ? performance.now() : 0;
      const slot = this.#slots[i];
      const old = this.#blocks[slot];
      if (old >= 0) memory.free(old);
      const offset = memory.allocate(this.#sizes[i]);
      bytes[offset] = i;
      this.#blocks[slot] = offset;
      if (timed) this.#nanoseconds[i] = (performance.now() - startedAt) * 1e6;
    }
  }

  runBuffers(allocate: (sizeBytes: number) => Uint8Array, timed: boolean): void {
    for (let i = 0; i < OPERATIONS; i++) {
      const startedAt = timed ? performance.now() : 0;
      const buffer = allocate(this.#sizes[i]);
      buffer[0] = i;
      this.#buffers[this.#slots[i]] = buffer;
      if (timed) this.#nanoseconds[i] = (performance.now() - startedAt) * 1e6;
    }
    // What the next one measures should not be the collection of these.
    if (!timed) return;
    this.#buffers.fill(undefined);
  }

  /** Median and 99.9th percentile of the single operations of a timed run, in nanoseconds. */
  latencies(run: () => void): readonly [medianNs: number, p999Ns: number] {
    run();
    const sorted = this.#nanoseconds.toSorted();
    return [sorted[OPERATIONS >> 1], sorted[Math.floor(OPERATIONS * 0.999)]];
  }

  /** Frees what runs have left. */
  release(memory: ShardMemory): void {
    for (const offset of this.#blocks) if (offset >= 0) memory.free(offset);
    this.#blocks.fill(-1);
  }
}
