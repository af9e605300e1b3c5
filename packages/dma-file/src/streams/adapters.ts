import { Readable, Writable } from 'node:stream';
import type { IOBuf } from '@sunstar/iobuf';

/** What gives pieces of bytes in order; null at the end. */
export interface ByteSource {
  read(maxBytes?: number): Promise<IOBuf | null>;
  close(): Promise<void>;
}

/** What takes bytes in order. */
export interface ByteSink {
  /** Resolves when there is room for more. The data is not used after. */
  write(data: Uint8Array): Promise<unknown>;
  /** Everything is written, durably, and released. */
  close(): Promise<void>;
}

async function nextBytes(source: ByteSource, maxBytes?: number): Promise<Buffer | null> {
  using piece = await source.read(maxBytes);
  // A copy: the reader of a stream may keep it for as long as it likes.
  return piece === null ? null : piece.toBuffer();
}

/** A Node stream that reads a source and closes it. */
export function readableOf(source: ByteSource): Readable {
  return new Readable({
    read(): void {
      nextBytes(source).then(
        (bytes) => this.push(bytes),
        (error: Error) => this.destroy(error),
      );
    },
    destroy(error, callback): void {
      source.close().then(
        () => callback(error),
        (closeError: Error) => callback(error ?? closeError),
      );
    },
  });
}

/** A web stream that reads a source and closes it. */
export function readableStreamOf(source: ByteSource): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller): Promise<void> {
        const bytes = await nextBytes(source);
        if (bytes === null) {
          await source.close();
          controller.close();
        } else controller.enqueue(new Uint8Array(bytes));
      },
      cancel: () => source.close(),
    },
    { highWaterMark: 0 },
  );
}

/** A Node stream that writes to a sink and closes it; what was written before an error may be there or not. */
export function writableOf(sink: ByteSink): Writable {
  return new Writable({
    decodeStrings: true,
    write(chunk: Buffer, _encoding, callback): void {
      sink.write(chunk).then(() => callback(), callback);
    },
    final(callback): void {
      sink.close().then(() => callback(), callback);
    },
    destroy(error, callback): void {
      sink.close().then(
        () => callback(error),
        (closeError: Error) => callback(error ?? closeError),
      );
    },
  });
}

/** A web stream that writes to a sink and closes it. */
export function writableStreamOf(sink: ByteSink): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    async write(chunk): Promise<void> {
      await sink.write(chunk);
    },
    close: () => sink.close(),
    abort: () => sink.close(),
  });
}
