import type { IOBuf } from '@sunstar/iobuf';
import { callIn, currentGroupId, inThisGroup, type Semaphore, SunstarError } from '@sunstar/runtime';
import type { Connection } from '../connection.js';
import type { PipelineOptions, Stages } from './pipelined.js';
import { type PipelineResponse, ResponseQueue } from './response-queue.js';

/** The bounds of a {@link RequestPipeline}. */
export interface PipelineLimits {
  readonly maxRequests: number;
  /** Shared by all connections of the shard; its units are bytes. */
  readonly budget: Semaphore;
}

type Handlers<R> = Pick<PipelineOptions<R>, 'decode' | 'handle' | 'onError' | 'costBytes'>;

/**
 * The requests of one connection: decodes and begins them in order, within the bounds, and orders the responses. All of
 * it happens in the scheduling group that made it, whichever group the work of a request ends in.
 */
export class RequestPipeline<R> {
  readonly #connection: Connection;
  readonly #handlers: Handlers<R>;
  readonly #limits: PipelineLimits;
  readonly #responses: ResponseQueue;
  readonly #groupId: number = currentGroupId();
  #whenRoom: (() => void) | null = null;
  #whenEmpty: (() => void) | null = null;

  constructor(connection: Connection, handlers: Handlers<R>, limits: PipelineLimits) {
    this.#connection = connection;
    this.#handlers = handlers;
    this.#limits = limits;
    this.#responses = new ResponseQueue(
      connection,
      limits.maxRequests,
      (costBytes) => this.#written(costBytes),
      (cause) => {
        // A connection that has ended tells its reader why. Else there was no memory, or the response is none: without
        // it, those behind it must not leave.
        if (connection.isWritable) connection.handlerFailed(cause);
      },
    );
  }

  /** Requests whose responses have not been written. */
  get size(): number {
    return this.#responses.size;
  }

  /** Begins every request that the input holds as a whole. */
  async takeFrom(input: IOBuf): Promise<void> {
    while (input.sizeBytes > 0) {
      // Before it is decoded: what waits is in the input, or with the peer.
      if (this.#responses.isFull) await this.#room();
      const before = input.sizeBytes;
      const request = this.#handlers.decode(input, this.#connection);
      if (request === null) return;
      const takenBytes = before - input.sizeBytes;
      if (takenBytes <= 0) throw nothingTaken();
      const { budget } = this.#limits;
      const costBytes = Math.min(
        budget.capacity,
        this.#handlers.costBytes?.(request, takenBytes) ?? takenBytes,
      );
      if (!budget.tryAcquire(costBytes)) await budget.acquire(costBytes);
      const dispatched = this.#begin(request, this.#responses.open(costBytes));
      if (dispatched !== null) await dispatched;
    }
  }

  /** Resolves when every response was written. */
  finished(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
    });
  }

  /** The connection is done with: responses that still come are dropped. */
  close(): void {
    this.#responses.break();
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#responses.invariants();
  }

  /** Hands the request to the handler; what it returns is awaited before the next one, if it is not null. */
  #begin(request: R, sequence: number): PromiseLike<unknown> | null {
    let answer: PipelineResponse | PromiseLike<PipelineResponse> | Stages;
    try {
      answer = this.#handlers.handle(request, this.#connection);
    } catch (error) {
      this.#failed(error, request, sequence);
      return null;
    }
    if (isStages(answer)) {
      this.#awaitResponse(answer.responded, request, sequence);
      // Who failed to dispatch says so in its response.
      return inThisGroup(Promise.resolve(answer.dispatched.then(undefined, () => {})));
    }
    if (isPromiseLike(answer)) this.#awaitResponse(answer, request, sequence);
    else this.#responses.respond(sequence, answer);
    return null;
  }

  #awaitResponse(responded: PromiseLike<PipelineResponse>, request: R, sequence: number): void {
    responded.then(
      (response) => {
        if (currentGroupId() === this.#groupId) this.#responses.respond(sequence, response);
        else callIn(this.#groupId, () => this.#responses.respond(sequence, response));
      },
      (error: unknown) => callIn(this.#groupId, () => this.#failed(error, request, sequence)),
    );
  }

  #failed(error: unknown, request: R, sequence: number): void {
    const { onError } = this.#handlers;
    let cause = error;
    try {
      if (onError !== undefined) {
        this.#responses.respond(sequence, onError(error, request, this.#connection));
        return;
      }
    } catch (failure) {
      cause = failure;
    }
    this.#connection.handlerFailed(cause);
    this.#responses.break();
    this.#responses.respond(sequence, null);
  }

  #written(costBytes: number): void {
    this.#limits.budget.release(costBytes);
    const room = this.#whenRoom;
    this.#whenRoom = null;
    room?.();
    if (this.size === 0) this.#whenEmpty?.();
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenRoom = resolve;
    });
  }
}

function nothingTaken(): SunstarError {
  return new SunstarError(
    'SUNSTAR_NOTHING_DECODED',
    'decode() returned a request and took no byte of the input, so it would return it for ever. Take what belongs to ' +
      'the request off the front (trimFront), or return null when it is not whole.',
  );
}

function isPromiseLike(
  answer: PipelineResponse | PromiseLike<PipelineResponse>,
): answer is PromiseLike<PipelineResponse> {
  return typeof answer === 'object' && answer !== null && 'then' in answer;
}

function isStages(answer: PipelineResponse | PromiseLike<PipelineResponse> | Stages): answer is Stages {
  return typeof answer === 'object' && answer !== null && 'responded' in answer;
}
