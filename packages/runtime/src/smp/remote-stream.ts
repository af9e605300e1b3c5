import { registerTransfer } from './codec/transfer.js';
import { StreamSink } from './stream-sink.js';
import { StreamSource } from './stream-source.js';

/** Streams that nobody can reach any more: their producers must not wait for ever. */
const unreachable = new FinalizationRegistry<StreamSink>((sink) => sink.drop());

/**
 * An async iterable of another shard. It asks for up to its window of elements ahead (16, or the `window` of
 * the call), buffers them here, and asks for more when half of them were taken. Leaving a `for await` early
 * runs the `finally` of a generator over there, and waits for it. It can be iterated once.
 *
 * When the other shard stops, what has arrived is still delivered; then `SUNSTAR_SHARD_STOPPED` is thrown.
 */
export class RemoteStream<T> implements AsyncIterableIterator<T>, AsyncDisposable {
  readonly #sink: StreamSink;

  /** For the codec. @internal */
  constructor(sink: StreamSink) {
    this.#sink = sink;
    unreachable.register(this, sink, sink);
  }

  /** The next element, or the end. Several may be asked for at once; they are answered in order. */
  async next(): Promise<IteratorResult<T, undefined>> {
    return this.#settled(await this.#sink.next());
  }

  /** Ends the stream: nothing more is delivered. Resolves when the producer has cleaned up. */
  async return(value?: unknown): Promise<IteratorResult<T, undefined>> {
    return this.#settled(await this.#sink.return(value));
  }

  /** Throws an error into the producing generator, which ends the stream, and rejects with what it throws. */
  async throw(error?: unknown): Promise<IteratorResult<T, undefined>> {
    return this.#settled(await this.#sink.throw(error));
  }

  /** It is its own iterator. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the stream early, as leaving a loop over it does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Elements that have arrived and that nobody has asked for. */
  get buffered(): number {
    return this.#sink.buffered;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#sink.invariants();
  }

  #settled(step: IteratorResult<unknown, unknown>): IteratorResult<T, undefined> {
    if (this.#sink.over) unreachable.unregister(this.#sink);
    return step as IteratorResult<T, undefined>;
  }
}

registerTransfer<StreamSource>({
  name: 'stream',
  valueClass: StreamSource,
  pack: (source) => source,
  receive: ([window], token, lender): StreamSource =>
    // What arrives is the other end of it.
    new RemoteStream(new StreamSink(lender, token, window)) as object as StreamSource,
  drop(stream) {
    void (stream as object as RemoteStream<unknown>).return();
  },
});
