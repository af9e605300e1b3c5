import type { Readable } from 'node:stream';
import { IOBuf } from '@sunstar/iobuf';
import { type Completion, type ShardMemory, SunstarError, systemError } from '@sunstar/runtime';
import { alignDown } from '../alignment.js';
import { Signal } from '../appender/deferred.js';
import { checkOffset, endOfFileError, invalidOptionError, streamClosedError } from '../errors.js';
import { integerOption } from '../open-options.js';
import { readableOf, readableStreamOf } from './adapters.js';

const KIB = 1024;
/** Blocks in a row that were there when they were wanted, before one less is read ahead. */
const CALM_BLOCKS = 32;

/** What a {@link StreamReader} reads from; a {@link DmaFile} is one. */
export interface ReadSource {
  readonly memory: ShardMemory;
  readonly path: string;
  readonly memoryAlignmentBytes: number;
  readonly offsetAlignmentBytes: number;
  /** Starts one read into aligned memory; completes with the bytes read, fewer only at the end of the file. */
  submitRead(completion: Completion, position: number, memoryOffset: number, length: number): void;
}

/** Options of a {@link StreamReader}. */
export interface StreamReaderOptions {
  /** File position of the first byte. @defaultValue 0 */
  readonly start?: number;
  /** File position behind the last byte. @defaultValue the end of the file */
  readonly end?: number;
  /**
   * Size of one read, 4 KiB to 128 KiB, a multiple of 4 KiB.
   *
   * @defaultValue 131072
   */
  readonly bufferBytes?: number;
  /**
   * Reads that may be ahead of the consumer, 1 to 1024. How many there are adapts: one more round of them each time
   * the consumer has to wait, one fewer when it has not for long. Memory in use is up to this many buffers.
   *
   * @defaultValue 16
   */
  readonly maxReadAhead?: number;
}

/** Counters of a {@link StreamReader}. */
export interface StreamReaderStats {
  /** Reads that are kept ahead of the consumer now. */
  readonly readAhead: number;
  readonly reads: number;
  /** How often the consumer came before the device. */
  readonly waits: number;
}

/** A read on its way, or its result until the consumer takes it. */
class Block implements Completion {
  readonly memoryOffset: number;
  readonly position: number;
  result = 0;
  isDone = false;
  /** Nobody wants it: its memory goes when the kernel is done with it. */
  isAbandoned = false;
  readonly #reader: StreamReader;

  constructor(reader: StreamReader, memoryOffset: number, position: number) {
    this.#reader = reader;
    this.memoryOffset = memoryOffset;
    this.position = position;
  }

  complete(result: number): void {
    this.result = result;
    this.isDone = true;
    this.#reader.blockCompleted(this);
  }
}

/**
 * Reads a file from one place to another, in order, and ahead of its consumer.
 *
 * What it gives are IOBufs over the memory that the device wrote to; the consumer owns and disposes them. One call
 * at a time; it belongs to the shard of its file, which stays open. After Glommio's `DmaStreamReader`.
 */
export class StreamReader implements AsyncDisposable, AsyncIterable<IOBuf> {
  readonly #source: ReadSource;
  readonly #bufferBytes: number;
  readonly #maxReadAhead: number;
  readonly #end: number;
  readonly #blocks: Block[] = [];
  readonly #progress: Signal = new Signal();
  /** What was read but not taken: the rest of a block, or what readExactly() gathers. */
  #rest: IOBuf | null = null;
  #position: number;
  /** Where the next read begins. */
  #next: number;
  #readAhead = 1;
  #calm = 0;
  #inFlight = 0;
  #reads = 0;
  #waits = 0;
  /** A read came up short: there is nothing behind it. */
  #isAtEnd = false;
  #isBusy = false;
  #isClosed = false;

  /** Throws SUNSTAR_INVALID_OPTION, SUNSTAR_OUT_OF_RANGE. */
  constructor(source: ReadSource, options: StreamReaderOptions = {}) {
    const { start = 0, end = Number.MAX_SAFE_INTEGER } = options;
    checkOffset('`end`', end);
    checkOffset('`start`', start, end);
    const bufferBytes = integerOption('bufferBytes', options.bufferBytes ?? 128 * KIB, 4 * KIB, 128 * KIB);
    if (bufferBytes % (4 * KIB) !== 0) {
      throw invalidOptionError('bufferBytes', bufferBytes, 'a multiple of 4096');
    }
    this.#source = source;
    this.#bufferBytes = bufferBytes;
    this.#maxReadAhead = integerOption('maxReadAhead', options.maxReadAhead ?? 16, 1, 1024);
    this.#position = start;
    this.#end = end;
    this.#next = alignDown(start, source.offsetAlignmentBytes);
  }

  /** File position of the next byte that the consumer gets. */
  get position(): number {
    return this.#position;
  }

  get stats(): StreamReaderStats {
    return { readAhead: this.#readAhead, reads: this.#reads, waits: this.#waits };
  }

  /**
   * What follows, as much as one read has given and at most `maxBytes`; null at the end. The caller disposes it.
   * After an error the reader is where it was: the next call tries again.
   */
  read(maxBytes: number = Number.MAX_SAFE_INTEGER): Promise<IOBuf | null> {
    checkOffset('`maxBytes`', maxBytes);
    return this.#alone(() => this.#read(maxBytes));
  }

  /** Exactly so many bytes; SUNSTAR_END_OF_FILE when there are fewer, and the reader stays where it was. */
  readExactly(length: number): Promise<IOBuf> {
    checkOffset('The length', length);
    return this.#alone(async () => {
      const gathered = new IOBuf(this.#source.memory);
      try {
        while (gathered.sizeBytes < length) {
          using piece = await this.#read(length - gathered.sizeBytes);
          if (piece === null) throw endOfFileError(this.#source.path, length, gathered.sizeBytes);
          gathered.link(piece);
        }
        return gathered;
      } catch (error) {
        this.#giveBack(gathered);
        throw error;
      }
    });
  }

  /** Passes over so many bytes, or as far as the end; gives how many there were. They are read all the same. */
  skip(length: number): Promise<number> {
    checkOffset('The length', length);
    return this.#alone(async () => {
      let left = length;
      while (left > 0) {
        using piece = await this.#read(left);
        if (piece === null) break;
        left -= piece.sizeBytes;
      }
      return length - left;
    });
  }

  /** All that follows, piece by piece; the consumer disposes each one. The reader is closed at the end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<IOBuf, void> {
    try {
      for (let piece = await this.read(); piece !== null; piece = await this.read()) yield piece;
    } finally {
      await this.close();
    }
  }

  /** A Node stream of Buffers of its own, for `pipeline()`. Its end, or destroying it, closes the reader. */
  toReadable(): Readable {
    return readableOf(this);
  }

  /** A web stream of Uint8Arrays of its own. Its end, or cancelling it, closes the reader. */
  toReadableStream(): ReadableStream<Uint8Array> {
    return readableStreamOf(this);
  }

  /** Waits for reads in flight and frees their memory. The file stays open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#inFlight > 0) await this.#progress.wait();
    this.#abandon();
    this.#rest?.[Symbol.dispose]();
    this.#rest = null;
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Called by a block. */
  blockCompleted(block: Block): void {
    this.#inFlight--;
    if (block.isAbandoned) this.#source.memory.free(block.memoryOffset);
    this.#progress.resolve();
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw streamClosedError();
    if (this.#isBusy) {
      throw new SunstarError(
        'SUNSTAR_STREAM_BUSY',
        'The reader is in use. Await the call before the next one.',
      );
    }
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }

  async #read(maxBytes: number): Promise<IOBuf | null> {
    if (maxBytes === 0) return new IOBuf(this.#source.memory);
    while (this.#rest === null) {
      this.#fill();
      const block = this.#blocks[0];
      if (block === undefined) {
        if (this.#isAtEnd || this.#next >= this.#end) return null;
        // Reads that nobody wants any more have to end first.
        await this.#progress.wait();
        if (this.#isClosed) throw streamClosedError();
        continue;
      }
      if (block.isDone) {
        if (++this.#calm >= CALM_BLOCKS) this.#relax();
      } else {
        this.#hurry();
        while (!block.isDone) await this.#progress.wait();
        if (this.#isClosed) throw streamClosedError();
      }
      this.#take(block);
    }
    const rest = this.#rest;
    if (rest.sizeBytes <= maxBytes) {
      this.#rest = null;
      this.#position += rest.sizeBytes;
      return rest;
    }
    this.#position += maxBytes;
    return rest.takeFront(maxBytes);
  }

  /** The consumer waits: from now on more is read ahead. */
  #hurry(): void {
    this.#waits++;
    this.#calm = 0;
    this.#readAhead = Math.min(this.#maxReadAhead, this.#readAhead * 2);
    this.#fill();
  }

  #relax(): void {
    this.#calm = 0;
    this.#readAhead = Math.max(1, this.#readAhead - 1);
  }

  /** Starts as many reads as may be ahead. */
  #fill(): void {
    const { memory, memoryAlignmentBytes } = this.#source;
    while (!this.#isAtEnd && this.#blocks.length < this.#readAhead && this.#next < this.#end) {
      if (this.#inFlight >= this.#maxReadAhead) return;
      let memoryOffset: number;
      try {
        memoryOffset = memory.allocateAligned(this.#bufferBytes, memoryAlignmentBytes);
      } catch (error) {
        // Reading ahead can wait; the block that is wanted now cannot.
        if (this.#blocks.length > 0) return;
        throw error;
      }
      const block = new Block(this, memoryOffset, this.#next);
      this.#blocks.push(block);
      this.#next += this.#bufferBytes;
      this.#inFlight++;
      this.#reads++;
      this.#source.submitRead(block, block.position, memoryOffset, this.#bufferBytes);
    }
  }

  /** Makes the first block, which is done, the rest that is handed out. */
  #take(block: Block): void {
    const { memory, path } = this.#source;
    if (block.result < 0) {
      // It is read again by the next call.
      this.#next = Math.min(this.#next, block.position);
      this.#abandon();
      throw systemError('read', block.result, path);
    }
    this.#blocks.shift();
    if (block.result < this.#bufferBytes) {
      this.#isAtEnd = true;
      this.#abandon();
    }
    const from = Math.max(0, this.#position - block.position);
    const to = Math.min(block.result, this.#end - block.position);
    if (to <= from) {
      memory.free(block.memoryOffset);
      this.#isAtEnd = true;
      this.#abandon();
      return;
    }
    this.#rest = new IOBuf(memory).adopt(block.memoryOffset, this.#bufferBytes, from, to - from);
  }

  /** Forgets the blocks that were read ahead; those in flight are freed when they complete. */
  #abandon(): void {
    for (const block of this.#blocks.splice(0)) {
      block.isAbandoned = true;
      if (block.isDone) this.#source.memory.free(block.memoryOffset);
    }
  }

  #giveBack(taken: IOBuf): void {
    this.#position -= taken.sizeBytes;
    if (this.#rest !== null) {
      taken.link(this.#rest);
      this.#rest[Symbol.dispose]();
    }
    this.#rest = taken.sizeBytes === 0 ? null : taken;
    if (this.#rest === null) taken[Symbol.dispose]();
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    const pending = this.#blocks.filter((block) => !block.isDone).length;
    const isOk =
      pending <= this.#inFlight &&
      this.#inFlight <= this.#maxReadAhead &&
      this.#readAhead >= 1 &&
      this.#readAhead <= this.#maxReadAhead &&
      this.#blocks.every((block, i) => i === 0 || block.position > this.#blocks[i - 1].position) &&
      this.#blocks.length <= this.#maxReadAhead;
    if (!isOk)
      throw new SunstarError('SUNSTAR_INVARIANT', 'StreamReader: reads ahead are out of order or lost.');
  }
}
