import { SunstarError } from '../errors.js';
import { broken } from './errors.js';
import { Queue, type QueueOptions } from './queue.js';
import type { WaitOptions } from './wait-list.js';

/** Anything but undefined, which stands for the end. */
export type PipeValue = NonNullable<unknown> | null;

/** What both ends of a {@link Pipe} share. */
class Channel<T> {
  readonly queue: Queue<T>;
  /** What the writer failed with. */
  failure: SunstarError | undefined;
  isReaderClosed = false;

  constructor(options: QueueOptions | undefined) {
    this.queue = new Queue(options);
  }
}

/** The end of a {@link Pipe} that values are written to. */
export class PipeWriter<T extends PipeValue> implements Disposable {
  readonly #channel: Channel<T>;

  /** @internal */
  constructor(channel: Channel<T>) {
    this.#channel = channel;
  }

  /** Writes if there is room; false when it is full or either end was closed. */
  tryWrite(value: T): boolean {
    return this.#channel.queue.tryPush(value);
  }

  /**
   * Writes a value, or waits for room.
   *
   * @returns Rejects with `SUNSTAR_PIPE_BROKEN` when the reader has gone, `SUNSTAR_PIPE_CLOSED` after {@link close},
   * `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED` or `SUNSTAR_TOO_MANY_WAITERS`; the value is not written then.
   */
  write(value: T, options?: WaitOptions): Promise<void> {
    const promise = this.#channel.queue.push(value, options);
    return this.#channel.queue.isClosed || this.#channel.queue.waitingPushes > 0
      ? promise.catch((error: unknown) => this.#explain(error))
      : promise;
  }

  /** No more values: the reader gets those that were written, then the end. Writes that wait are rejected. */
  close(): void {
    this.#channel.queue.close();
  }

  /** {@link close}, and at the end the reader gets `SUNSTAR_PIPE_FAILED` with this cause. */
  fail(cause: unknown): void {
    const { queue } = this.#channel;
    if (!queue.isClosed) this.#channel.failure = broken('SUNSTAR_PIPE_FAILED', 'The pipe', cause);
    queue.close();
  }

  /** {@link close} */
  [Symbol.dispose](): void {
    this.close();
  }

  #explain(error: unknown): never {
    if (!(error instanceof SunstarError) || !error.code.startsWith('SUNSTAR_QUEUE_')) throw error;
    if (this.#channel.isReaderClosed) {
      throw new SunstarError(
        'SUNSTAR_PIPE_BROKEN',
        'The reader of the pipe was closed; nobody will read this value. Stop writing.',
      );
    }
    throw new SunstarError(
      'SUNSTAR_PIPE_CLOSED',
      'The writer of the pipe was closed. Write nothing after close().',
    );
  }
}

/** The end of a {@link Pipe} that values are read from. */
export class PipeReader<T extends PipeValue> implements Disposable {
  readonly #channel: Channel<T>;

  /** @internal */
  constructor(channel: Channel<T>) {
    this.#channel = channel;
  }

  /** How many values can be read without waiting. */
  get size(): number {
    return this.#channel.queue.size;
  }

  /** Reads a value if there is one. */
  tryRead(): T | undefined {
    return this.#channel.queue.tryPop();
  }

  /**
   * Reads a value, or waits for one.
   *
   * @returns `undefined` at the end. Rejects with `SUNSTAR_PIPE_FAILED`, `SUNSTAR_PIPE_CLOSED` when this end was
   * closed, `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED` or `SUNSTAR_TOO_MANY_WAITERS`; no value is taken then.
   */
  async read(options?: WaitOptions): Promise<T | undefined> {
    try {
      return await this.#channel.queue.pop(options);
    } catch (error) {
      if (!(error instanceof SunstarError) || !error.code.startsWith('SUNSTAR_QUEUE_')) throw error;
      if (this.#channel.isReaderClosed) {
        throw new SunstarError(
          'SUNSTAR_PIPE_CLOSED',
          'The reader of the pipe was closed. Read nothing after close().',
        );
      }
      if (this.#channel.failure !== undefined) throw this.#channel.failure;
      return undefined;
    }
  }

  /** Drops what was not read; the writer gets `SUNSTAR_PIPE_BROKEN`. */
  close(): void {
    this.#channel.isReaderClosed = true;
    this.#channel.queue.abort('the reader was closed');
  }

  /** The values until the end. Leaving the loop early closes this end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      for (let value = await this.read(); value !== undefined; value = await this.read()) yield value;
    } finally {
      this.close();
    }
  }

  /** {@link close} */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#channel.queue.invariants();
  }
}

/** A bounded stream of values with an end, from a writer to a reader on the same shard. After Seastar's `pipe`. */
export class Pipe<T extends PipeValue> {
  readonly reader: PipeReader<T>;
  readonly writer: PipeWriter<T>;

  constructor(options?: QueueOptions) {
    const channel = new Channel<T>(options);
    this.reader = new PipeReader(channel);
    this.writer = new PipeWriter(channel);
  }
}
