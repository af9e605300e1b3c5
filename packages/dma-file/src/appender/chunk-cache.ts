import { SunstarError } from '@sunstar/runtime';
import type { AppendMemory } from './append-target.js';

/** Released chunks that a shard keeps for the next appends, in bytes for each size of chunk. */
const SPARE_BYTES_MAX = 4 * 1024 * 1024;

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

/** The appenders of one shard. */
interface ShardAppenders {
  readonly caches: Map<string, ChunkCache>;
  open: number;
}

const appendersOf = new WeakMap<AppendMemory, ShardAppenders>();

function appenders(memory: AppendMemory): ShardAppenders {
  let found = appendersOf.get(memory);
  if (found === undefined) {
    found = { caches: new Map(), open: 0 };
    appendersOf.set(memory, found);
  }
  return found;
}

/** How many appenders a shard has open: they share its part of the disk. */
export function openAppenders(memory: AppendMemory): number {
  return appenders(memory).open;
}

/**
 * The chunks of all appenders of a shard that have the same size of chunk. Released ones are kept for the next
 * append of any of them, up to 4 MiB, and given back when the shard runs short of memory or the last appender closes.
 *
 * An appender holds no chunk while it waits for one: `acquire` gives memory at once or throws. So appenders cannot
 * wait for each other in a circle, however little memory there is.
 */
export class ChunkCache {
  readonly chunkBytes: number;
  readonly #memory: AppendMemory;
  readonly #alignmentBytes: number;
  readonly #spareMax: number;
  readonly #spare: Chunk[] = [];
  #users = 0;
  #outstanding = 0;
  #removeReclaimer: (() => void) | null = null;

  private constructor(memory: AppendMemory, chunkBytes: number, alignmentBytes: number) {
    this.#memory = memory;
    this.chunkBytes = chunkBytes;
    this.#alignmentBytes = alignmentBytes;
    this.#spareMax = Math.max(2, Math.floor(SPARE_BYTES_MAX / chunkBytes));
  }

  /** The shard's cache for chunks of this size, for one more appender; `leave()` when it closes. */
  static join(memory: AppendMemory, chunkBytes: number, alignmentBytes: number): ChunkCache {
    const shard = appenders(memory);
    const key = `${chunkBytes}/${alignmentBytes}`;
    let cache = shard.caches.get(key);
    if (cache === undefined) {
      cache = new ChunkCache(memory, chunkBytes, alignmentBytes);
      shard.caches.set(key, cache);
    }
    if (cache.#users++ === 0) {
      const { trim } = cache;
      cache.#removeReclaimer = memory.addReclaimer(trim, { name: `appender chunks of ${chunkBytes}` });
    }
    shard.open++;
    return cache;
  }

  /** Ends one `join()`, with all its chunks released. */
  leave(): void {
    appenders(this.#memory).open--;
    if (--this.#users > 0) return;
    this.#removeReclaimer?.();
    this.#removeReclaimer = null;
    this.trim();
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
    if (this.#spare.length < this.#spareMax) this.#spare.push(chunk);
    else this.#memory.free(chunk.memoryOffset);
  }

  /** Frees the spare chunks; returns how many bytes that were. */
  readonly trim = (): number => {
    const freed = this.#spare.length * this.chunkBytes;
    for (const chunk of this.#spare) this.#memory.free(chunk.memoryOffset);
    this.#spare.length = 0;
    return freed;
  };

  invariants(): void {
    if (
      this.#outstanding < 0 ||
      this.#users < 0 ||
      this.#spare.length > this.#spareMax ||
      this.#spare.some((c) => c.pins !== 0)
    ) {
      throw new SunstarError(
        'SUNSTAR_INVARIANT',
        'ChunkCache: a chunk was released twice or is both free and used.',
      );
    }
  }
}
