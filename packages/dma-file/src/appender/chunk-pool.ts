import { SunstarError } from '@sunstar/runtime';
import type { AppendMemory } from './append-target.js';

/** A block of aligned memory that appended bytes are copied into, page by page. */
export class Chunk {
  readonly memoryOffset: number;
  /** Pages handed out so far, in bytes. They are never handed out twice before the chunk is released. */
  usedBytes = 0;
  /** Extents and cursors that still need the memory. */
  pins = 0;

  constructor(memoryOffset: number) {
    this.memoryOffset = memoryOffset;
  }
}

/** Hands out chunks, and keeps a few released ones for the next turn. */
export class ChunkPool {
  readonly chunkBytes: number;
  readonly #memory: AppendMemory;
  readonly #alignmentBytes: number;
  readonly #maxSpare: number;
  readonly #spare: Chunk[] = [];
  #outstanding = 0;

  constructor(memory: AppendMemory, chunkBytes: number, alignmentBytes: number, maxSpare: number) {
    this.#memory = memory;
    this.chunkBytes = chunkBytes;
    this.#alignmentBytes = alignmentBytes;
    this.#maxSpare = maxSpare;
  }

  /** Chunks that were acquired and not released. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** A chunk with one pin; its content is undefined. Throws OutOfMemoryError. */
  acquire(): Chunk {
    const chunk =
      this.#spare.pop() ?? new Chunk(this.#memory.allocateAligned(this.chunkBytes, this.#alignmentBytes));
    chunk.usedBytes = 0;
    chunk.pins = 1;
    this.#outstanding++;
    return chunk;
  }

  /** Drops one pin; the chunk goes back with the last one. */
  unpin(chunk: Chunk): void {
    if (--chunk.pins > 0) return;
    this.#outstanding--;
    if (this.#spare.length < this.#maxSpare) this.#spare.push(chunk);
    else this.#memory.free(chunk.memoryOffset);
  }

  /** Frees the spare chunks. */
  trim(): void {
    for (const chunk of this.#spare) this.#memory.free(chunk.memoryOffset);
    this.#spare.length = 0;
  }

  invariants(): void {
    if (
      this.#outstanding < 0 ||
      this.#spare.length > this.#maxSpare ||
      this.#spare.some((c) => c.pins !== 0)
    ) {
      throw new SunstarError(
        'SUNSTAR_INVARIANT',
        'ChunkPool: a chunk was released twice or is both free and used.',
      );
    }
  }
}
