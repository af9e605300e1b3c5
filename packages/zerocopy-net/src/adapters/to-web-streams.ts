import { ReadableStream, WritableStream } from 'node:stream/web';
import type { Connection } from '../connection.js';

/** A connection as a pair of web streams; see {@link toWebStreams}. */
export interface WebStreams {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array | string>;
}

/**
 * Gives a connection the face of web streams, for `pipeTo`, `TransformStream`s and what else is written for the web.
 * Received bytes are copied once, into an array of the reader's own; written ones are copied into shard memory.
 * Closing the writable half-closes the connection; cancelling the readable, or aborting the writable, resets it.
 * The streams are the connection's one reader. Runs on the connection's shard.
 */
export function toWebStreams(connection: Connection): WebStreams {
  return {
    readable: new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          using piece = await connection.read();
          if (piece === null) controller.close();
          else controller.enqueue(new Uint8Array(piece.toBuffer()));
        },
        cancel: () => connection.reset(),
      },
      // Nothing is read before somebody asks: the connection itself reads ahead.
      { highWaterMark: 0 },
    ),
    writable: new WritableStream<Uint8Array | string>({
      write: (chunk) => connection.write(chunk),
      close: () => connection.end(),
      abort: () => connection.reset(),
    }),
  };
}
