import type { IOBuf } from '@sunstar/iobuf';
import { SunstarError } from '@sunstar/runtime';
import { alignUp } from '../alignment.js';
import type { AppendMemory } from './append-target.js';
import type { Chunk, ChunkCache } from './chunk-cache.js';
import type { Extent } from './extent.js';
import type { WriteQueue } from './write-queue.js';

/**
 * Copies appended bytes into pages of chunks and cuts them into extents.
 *
 * The open extent takes bytes until its chunk is full or a flush seals it. A sealed extent that ends inside
 * of a page leaves a problem: the next bytes belong into that page, and the device may be reading it. As
 * long as that write is not done, the filled part of the page is copied to a fresh page and appending goes
 * on there; once it is done, appending goes on in place.
 */
export class AppendBuffer {
  readonly #bytes: Buffer;
  readonly #pool: ChunkCache;
  readonly #pageBytes: number;
  readonly #queue: WriteQueue;
  /** Chunks reserved for the append that is being copied. */
  readonly #ready: Chunk[] = [];
  #chunk: Chunk | null = null;
  #appended: number;
  /** Where in the arena the next byte goes; meaningless while there is no chunk. */
  #cursor = 0;
  #isOpen = false;
  #openMemory = 0;
  #openPosition = 0;
  #openStart = 0;

  constructor(
    memory: AppendMemory,
    pool: ChunkCache,
    pageBytes: number,
    queue: WriteQueue,
    position: number,
  ) {
    this.#bytes = memory.bytes;
    this.#pool = pool;
    this.#pageBytes = pageBytes;
    this.#queue = queue;
    this.#appended = position;
  }

  /** File position after the last appended byte. */
  get appended(): number {
    return this.#appended;
  }

  /** Whether there are bytes that no extent holds yet. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Appends one piece of the arena. Throws OutOfMemoryError and takes nothing when there is no room. */
  appendRange(memoryOffset: number, length: number): void {
    this.#reserve(length);
    this.#copyRange(memoryOffset, length);
  }

  /** Appends bytes from outside of the arena, under the same terms. */
  appendBytes(data: Uint8Array): void {
    this.#reserve(data.length);
    this.#copyBytes(data);
  }

  /** Appends several pieces of `total` bytes, all of them or none. */
  appendParts(parts: readonly Uint8Array[], total: number): void {
    this.#reserve(total);
    for (const part of parts) this.#copyBytes(part);
  }

  #copyBytes(data: Uint8Array): void {
    const length = data.length;
    let from = 0;
    while (from < length) {
      const room = this.#open();
      const count = Math.min(room, length - from);
      this.#bytes.set(count === length ? data : data.subarray(from, from + count), this.#cursor);
      from += count;
      this.#advance(count);
    }
  }

  /** Appends the content of an IOBuf, under the same terms. */
  appendIOBuf(data: IOBuf): void {
    if (data.memory.bytes !== this.#bytes || !data.isLocal) {
      this.appendBytes(data.toBuffer());
      return;
    }
    this.#reserve(data.sizeBytes);
    const count = data.fragmentCount;
    for (let i = 0; i < count; i++) this.#copyRange(data.fragmentOffset(i), data.fragmentLength(i));
  }

  /** Closes the open extent, pads its last page with zeros and hands it over; null when nothing is open. */
  seal(): Extent | null {
    const chunk = this.#chunk;
    if (!this.#isOpen || chunk === null) return null;
    const end = chunk.memoryOffset + alignUp(this.#cursor - chunk.memoryOffset, this.#pageBytes);
    if (end > this.#cursor) this.#bytes.fill(0, this.#cursor, end);
    chunk.usedBytes = end - chunk.memoryOffset;
    const extent = this.#queue.take(chunk);
    chunk.pins++;
    extent.memoryOffset = this.#openMemory;
    extent.position = this.#openPosition;
    extent.length = end - this.#openMemory;
    extent.startBytes = this.#openStart;
    extent.endBytes = this.#appended;
    this.#isOpen = false;
    return extent;
  }

  /**
   * Starts over at a file position, with nothing buffered. When the position is inside of a page, `chunk`
   * begins with that page; the buffer takes over its pin. Otherwise it is null.
   */
  restart(position: number, chunk: Chunk | null): void {
    this.release();
    this.#appended = position;
    this.#chunk = chunk;
    if (chunk === null) return;
    chunk.usedBytes = this.#pageBytes;
    this.#cursor = chunk.memoryOffset + (position % this.#pageBytes);
  }

  /** Lets go of the chunk; bytes that were not sealed are lost. */
  release(): void {
    if (this.#chunk !== null) this.#pool.unpin(this.#chunk);
    this.#chunk = null;
    this.#isOpen = false;
  }

  /** Acquires all chunks that `length` bytes will need, or none. */
  #reserve(length: number): void {
    const missing = this.#chunksFor(length);
    try {
      while (this.#ready.length < missing) this.#ready.push(this.#pool.acquire());
    } catch (error) {
      for (let chunk = this.#ready.pop(); chunk !== undefined; chunk = this.#ready.pop())
        this.#pool.unpin(chunk);
      throw error;
    }
  }

  #chunksFor(length: number): number {
    const chunkBytes = this.#pool.chunkBytes;
    const chunk = this.#chunk;
    const partial = this.#appended % this.#pageBytes;
    let room = 0;
    let carried = 0;
    if (this.#isOpen || (partial > 0 && !this.#queue.isTailPending)) {
      room = chunk === null ? 0 : chunk.memoryOffset + chunkBytes - this.#cursor;
    } else if (chunk !== null && chunk.usedBytes < chunkBytes) {
      room = chunkBytes - chunk.usedBytes - partial;
    } else {
      carried = partial;
    }
    return length <= room ? 0 : Math.ceil((length - room + carried) / chunkBytes);
  }

  /** Makes sure that an extent is open; gives the bytes of contiguous room at the cursor. */
  #open(): number {
    if (!this.#isOpen) {
      const partial = this.#appended % this.#pageBytes;
      if (partial === 0 || this.#queue.isTailPending) this.#takePage(partial);
      this.#openMemory = this.#cursor - partial;
      this.#openPosition = this.#appended - partial;
      this.#openStart = this.#appended;
      this.#isOpen = true;
    }
    const chunk = this.#chunk as Chunk;
    return chunk.memoryOffset + this.#pool.chunkBytes - this.#cursor;
  }

  /** Moves the cursor to a fresh page, and the first `partial` bytes of the current page with it. */
  #takePage(partial: number): void {
    const old = this.#chunk;
    const isFull = old === null || old.usedBytes === this.#pool.chunkBytes;
    const chunk = isFull ? (this.#ready.pop() ?? this.#pool.acquire()) : old;
    const page = chunk.memoryOffset + chunk.usedBytes;
    if (partial > 0) this.#bytes.copyWithin(page, this.#cursor - partial, this.#cursor);
    this.#cursor = page + partial;
    this.#chunk = chunk;
    if (old !== null && old !== chunk) this.#pool.unpin(old);
  }

  #copyRange(memoryOffset: number, length: number): void {
    let from = memoryOffset;
    const end = memoryOffset + length;
    while (from < end) {
      const room = this.#open();
      const count = Math.min(room, end - from);
      this.#bytes.copyWithin(this.#cursor, from, from + count);
      from += count;
      this.#advance(count);
    }
  }

  #advance(count: number): void {
    this.#cursor += count;
    this.#appended += count;
    const chunk = this.#chunk as Chunk;
    if (this.#cursor < chunk.memoryOffset + this.#pool.chunkBytes) return;
    const extent = this.seal();
    if (extent !== null) this.#queue.push(extent);
  }

  invariants(): void {
    const chunk = this.#chunk;
    const fail = (what: string): never => {
      throw new SunstarError('SUNSTAR_INVARIANT', `AppendBuffer: ${what}.`);
    };
    if (this.#ready.length > 0) fail('chunks stayed reserved after an append');
    if (this.#isOpen && chunk === null) fail('an extent is open without a chunk');
    if (chunk === null) return;
    if (chunk.pins < 1) fail('the current chunk is not pinned');
    const at = this.#cursor - chunk.memoryOffset;
    if (at < 0 || at > this.#pool.chunkBytes) fail('the cursor is outside of its chunk');
    if (at % this.#pageBytes !== this.#appended % this.#pageBytes) {
      fail('cursor and file position disagree about the place in the page');
    }
    if (!this.#isOpen) return;
    if (this.#openMemory % this.#pageBytes !== 0 || this.#openPosition % this.#pageBytes !== 0) {
      fail('the open extent is not aligned');
    }
    if (this.#cursor - this.#openMemory !== this.#appended - this.#openPosition) {
      fail('the open extent has another length in memory than in the file');
    }
  }
}
