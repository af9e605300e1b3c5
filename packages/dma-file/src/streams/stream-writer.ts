import type { Writable } from 'node:stream';
import type { IOBuf } from '@sunstar/iobuf';
import type { AppendTarget } from '../appender/append-target.js';
import { SegmentAppender } from '../appender/segment-appender.js';
import { integerOption } from '../open-options.js';
import { writableOf, writableStreamOf } from './adapters.js';

const KIB = 1024;

/** Options of a {@link StreamWriter}. */
export interface StreamWriterOptions {
  /** File position of the first byte; what the file has behind it is cut off. @defaultValue the size of the file */
  readonly start?: number;
  /** Size of one write, 4 KiB to 32 MiB, a multiple of 4 KiB. @defaultValue 131072 */
  readonly bufferBytes?: number;
  /**
   * Writes that the device may have at the same time, 1 to 1024. There are as many as the producer is ahead of the
   * device; when there are this many, and half as many more buffers are full, `write()` waits.
   *
   * @defaultValue 16
   */
  readonly maxWriteBehind?: number;
  /** How large the file will probably become, so that no more space is taken. @defaultValue 0, unknown */
  readonly expectedBytes?: number;
}

/**
 * Writes a file in order, behind its producer: full buffers go to the device several at a time, in any order, into
 * space that is allocated ahead. It owns its file and closes it.
 */
export class StreamWriter implements AsyncDisposable {
  readonly #appender: SegmentAppender;

  private constructor(appender: SegmentAppender) {
    this.#appender = appender;
  }

  /** Begins to write a file that is open for reading and writing; see {@link SegmentAppender.open}. */
  static async open(file: AppendTarget, options: StreamWriterOptions = {}): Promise<StreamWriter> {
    const chunkBytes = integerOption('bufferBytes', options.bufferBytes ?? 128 * KIB, 4 * KIB, 32768 * KIB);
    const depth = integerOption('maxWriteBehind', options.maxWriteBehind ?? 16, 1, 1024);
    const appender = await SegmentAppender.open(file, {
      ...(options.start === undefined ? {} : { position: options.start }),
      chunkBytes,
      maxWritesInFlight: depth,
      maxBufferedBytes: chunkBytes * (depth + Math.max(1, depth >> 1)),
      segmentBytes: options.expectedBytes ?? 0,
      // Nobody waits for small syncs.
      zeroAheadBytes: 0,
    });
    return new StreamWriter(appender);
  }

  /** File position behind the last byte that was taken. */
  get position(): number {
    return this.#appender.appended;
  }

  /** File position up to which everything survives a power cut. */
  get flushed(): number {
    return this.#appender.flushed;
  }

  /**
   * Writes bytes, in the order of the calls. Resolves when they were copied, which is when there is room for them;
   * they stay the caller's and must not change before.
   */
  async write(data: Uint8Array | IOBuf): Promise<void> {
    await this.#appender.write(data);
  }

  /** Resolves when everything written before survives a power cut. */
  async flush(): Promise<void> {
    await this.#appender.flush();
  }

  /** Writes the rest and makes the file durable, exactly as long as what was written, then closes it. */
  close(): Promise<void> {
    return this.#appender.close();
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A Node stream into the file, for `pipeline()`; finishing it makes the file durable and closes it. */
  toWritable(): Writable {
    return writableOf(this);
  }

  /** A web stream into the file; closing it makes the file durable and closes it. */
  toWritableStream(): WritableStream<Uint8Array> {
    return writableStreamOf(this);
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#appender.invariants();
  }
}
