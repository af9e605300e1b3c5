import { IOBuf } from '@sunstar/iobuf';
import { currentShard, Semaphore, SunstarError } from '@sunstar/runtime';
import type { Connection } from '../connection.js';
import type { ConnectionHandler } from '../listen.js';
import { functionOption, integerOption } from '../options.js';
import { RequestPipeline } from './request-pipeline.js';
import type { PipelineResponse } from './response-queue.js';

/** The two stages of a request, for a handler whose requests must begin in order but may end in any. */
export interface Stages {
  /** Settles when the order of this request is fixed; the next one is handled only then. */
  readonly dispatched: PromiseLike<unknown>;
  /** The response, whenever it comes. */
  readonly responded: PromiseLike<PipelineResponse>;
}

/** Options of {@link pipelined}. */
export interface PipelineOptions<R> {
  /**
   * Takes the next whole request from the front of the input; null when it is not there yet. Every length must be
   * checked before memory is taken for it. Each request takes at least one byte. An error resets the connection.
   */
  decode(input: IOBuf, connection: Connection): R | null;
  /**
   * Begins a request and answers it: at once, with a promise, or with a promise for each of the two {@link Stages}.
   * With a promise alone the next request is handled at once.
   */
  handle(request: R, connection: Connection): PipelineResponse | PromiseLike<PipelineResponse> | Stages;
  /**
   * The response to a request that failed. @defaultValue none: the connection is reset, and the error logged
   */
  onError?(error: unknown, request: R, connection: Connection): PipelineResponse;
  /** Requests of one connection whose responses are not written yet. @defaultValue 64; 1 to 65536 */
  readonly maxRequests?: number;
  /** Bytes of a request that decode() may wait for. @defaultValue 1048576 (1 MiB); 1 to 1 GiB */
  readonly maxRequestBytes?: number;
  /**
   * What the requests of all connections of this shard may cost together. One that would exceed it waits, and with
   * it its connection. @defaultValue an eighth of the shard's memory, at least maxRequestBytes
   */
  readonly maxMemoryBytes?: number;
  /**
   * What a request costs in memory until its response is written, from 0; more than maxMemoryBytes counts as that.
   * @defaultValue the bytes that decode() took
   */
  costBytes?(request: R, takenBytes: number): number;
}

/**
 * A connection handler that reads requests while earlier ones are still being worked on, and writes the responses in
 * the order of the requests: latency is paid once, not once a request, and what comes together can be flushed to disk
 * or sent to another shard together. Two bounds hold: requests for each connection, memory for all of them.
 *
 * ```ts
 * await listen({ port: 7000 }, pipelined({
 *   decode: (input) => takeFrame(input),
 *   handle: (request) => partitions.on(shard.ownerOf(request.key)).append(request.record),
 * }));
 * ```
 *
 * Calls to one shard keep their order, so a partition that lives on one shard sees the requests of a connection in
 * order without waiting for each other; use {@link Stages} when the order is fixed only after some asynchronous step.
 *
 * When the input ends, the responses that are still due are written and the connection is closed. Runs on the shard
 * that calls it. The idea is Redpanda's: `dispatched` and `response` of its Kafka requests.
 *
 * @throws SunstarError SUNSTAR_INVALID_OPTION, SUNSTAR_NOT_ATTACHED
 */
export function pipelined<R>(options: PipelineOptions<R>): ConnectionHandler {
  const { memory } = currentShard();
  functionOption(options, 'decode');
  functionOption(options, 'handle');
  const maxRequests = integerOption('maxRequests', options.maxRequests, 64, 1, 65_536);
  const maxRequestBytes = integerOption('maxRequestBytes', options.maxRequestBytes, 2 ** 20, 1, 2 ** 30);
  const maxMemoryBytes = integerOption(
    'maxMemoryBytes',
    options.maxMemoryBytes,
    Math.max(maxRequestBytes, Math.floor(memory.arena.sizeBytes / 8)),
    1,
    Number.MAX_SAFE_INTEGER,
  );
  const budget = new Semaphore(maxMemoryBytes);
  return async (connection) => {
    using input = new IOBuf(memory);
    const pipeline = new RequestPipeline<R>(connection, options, { maxRequests, budget });
    try {
      for (;;) {
        await pipeline.takeFrom(input);
        if (input.sizeBytes >= maxRequestBytes) throw requestTooLong(maxRequestBytes);
        using piece = await connection.read();
        if (piece === null) break;
        input.take(piece);
      }
      await pipeline.finished();
    } finally {
      pipeline.close();
    }
  };
}

function requestTooLong(maxRequestBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_MESSAGE_TOO_LONG',
    `A request is not complete after ${maxRequestBytes} bytes. Raise maxRequestBytes if the peer is right.`,
  );
}
