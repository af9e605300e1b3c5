import { Readable, type Transform, Writable } from 'node:stream';
import type { ShardMemory } from '@sunstar/runtime';
import { SunstarError } from '@sunstar/runtime';
import { invalidArgumentError } from './errors.js';
import { IOBuf } from './iobuf.js';

/** How much a buffer takes in from a stream before it refuses. */
export interface CollectOptions {
  /** More content than this is refused with `SUNSTAR_TOO_LARGE`. @default 64 MiB */
  readonly maxBytes?: number;
  /**
   * Take chunks in without a copy. They must not be changed by whoever made them, and count as foreign memory.
   * @default false
   */
  readonly wrap?: boolean;
}

const COLLECT_BYTES_MAX: number = 64 * 1024 * 1024;

function take(buffer: IOBuf, chunk: unknown, options: CollectOptions): void {
  const { maxBytes = COLLECT_BYTES_MAX, wrap = false } = options;
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  if (!(bytes instanceof Uint8Array))
    throw invalidArgumentError('a chunk', 'a Uint8Array or a string', chunk);
  if (buffer.sizeBytes + bytes.length > maxBytes) {
    throw new SunstarError(
      'SUNSTAR_TOO_LARGE',
      `The stream brought more than ${maxBytes} bytes. Consume the buffer while it fills, or raise \`maxBytes\`.`,
    );
  }
  if (wrap) buffer.wrap(bytes);
  else buffer.append(bytes);
}

/**
 * Everything that an async iterable (a Node stream, a web stream, a generator) brings, as a buffer. The caller
 * disposes it.
 *
 * @throws SunstarError SUNSTAR_TOO_LARGE, SUNSTAR_OUT_OF_MEMORY; what the iterable throws. The iterable is ended.
 */
export async function collect(
  source: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
  options: CollectOptions & { readonly memory?: ShardMemory } = {},
): Promise<IOBuf> {
  const buffer = new IOBuf(options.memory);
  try {
    for await (const chunk of source) take(buffer, chunk, options);
    return buffer;
  } catch (error) {
    buffer[Symbol.dispose]();
    throw error;
  }
}

/**
 * The content in chunks that belong to the receiver: copies of at most `chunkBytes` bytes. The content is consumed
 * as it goes, and the buffer stays its owner's.
 *
 * @param chunkBytes - 1 or more. @defaultValue 65536
 */
export async function* drain(buffer: IOBuf, chunkBytes = 65536): AsyncGenerator<Buffer, void, undefined> {
  while (!buffer.isEmpty) {
    const chunk = cutFront(buffer, Math.min(chunkBytes, buffer.sizeBytes));
    // Not earlier: who stops here has not lost the rest.
    yield chunk;
  }
}

function cutFront(buffer: IOBuf, sizeBytes: number): Buffer {
  using front = buffer.takeFront(sizeBytes);
  return front.toBuffer();
}

/**
 * A Node stream that reads a buffer and disposes it at its end, also when it is destroyed before. Chunks are
 * copies: a stream's reader may keep them for as long as it likes.
 */
export function toReadable(buffer: IOBuf): Readable {
  return new Readable({
    read(sizeBytes: number): void {
      if (buffer.isEmpty) this.push(null);
      else this.push(cutFront(buffer, Math.min(Math.max(1, sizeBytes), buffer.sizeBytes)));
    },
    destroy(error, callback): void {
      buffer[Symbol.dispose]();
      callback(error);
    },
  });
}

/** A Node stream that appends to a buffer, which stays its owner's. */
export function toWritable(buffer: IOBuf, options: CollectOptions = {}): Writable {
  return new Writable({
    decodeStrings: true,
    write(chunk: Buffer, _encoding, callback): void {
      try {
        take(buffer, chunk, options);
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
  });
}

/** The web's form of {@link toReadable}: a byte stream, into the reader's memory where the reader brings some. */
export function toReadableStream(buffer: IOBuf, chunkBytes = 65536): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: 'bytes',
    pull(controller): void {
      const request = controller.byobRequest;
      if (buffer.isEmpty) {
        buffer[Symbol.dispose]();
        controller.close();
        request?.respond(0);
        return;
      }
      const view = request?.view;
      if (request !== null && request !== undefined && view !== null && view !== undefined) {
        const target = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
        using front = buffer.takeFront(Math.min(target.length, buffer.sizeBytes));
        request.respond(front.copyTo(target));
      } else {
        using front = buffer.takeFront(Math.min(chunkBytes, buffer.sizeBytes));
        // Not a Buffer: that may be a part of Node's pool, and a byte stream transfers what it is given.
        const chunk = new Uint8Array(front.sizeBytes);
        front.copyTo(chunk);
        controller.enqueue(chunk);
      }
    },
    cancel(): void {
      buffer[Symbol.dispose]();
    },
  });
}

/** The web's form of {@link toWritable}. */
export function toWritableStream(buffer: IOBuf, options: CollectOptions = {}): WritableStream<Uint8Array> {
  return new WritableStream({
    write(chunk: Uint8Array): void {
      take(buffer, chunk, options);
    },
  });
}

/**
 * The content through a transform, for example `zlib.createGzip()`, as a new buffer in the same memory. The
 * transform reads the fragments where they lie: they are held until it is done with them, and `buffer` stays as it
 * is. The caller disposes the result.
 *
 * @throws SunstarError SUNSTAR_TOO_LARGE, the defence against bombs; what the transform throws.
 */
export async function transform(
  buffer: IOBuf,
  stream: Transform,
  options: CollectOptions = {},
): Promise<IOBuf> {
  using held = buffer.share();
  const feed = async (): Promise<void> => {
    for (const fragment of held.fragments()) {
      await new Promise<void>((resolve, reject) => {
        stream.write(fragment, (error) => {
          if (error) reject(error);
          else resolve();
        });
      });
    }
    stream.end();
  };
  const fed = feed();
  // A transform that fails rejects both; the one that is not awaited any more must not be unhandled.
  fed.catch(() => undefined);
  const result = await collect(stream, { ...options, memory: buffer.memory });
  try {
    await fed;
    return result;
  } catch (error) {
    result[Symbol.dispose]();
    throw error;
  }
}
