import type { IOBuf } from '@sunstar/iobuf';
import type { Connection } from '@sunstar/zerocopy-net';
import type { ClientState } from '../commands/context.js';
import type { ReplyWriter } from '../resp/index.js';
import { type PendingReply, ReplyQueue } from './reply-queue.js';
import { ReplyWindow } from './reply-window.js';
import type { ShardCore } from './shard-core.js';

/** Replies that may wait for the log; those of other shards are limited by a window. */
const QUEUED_MAX = 1024;

/**
 * The replies of one client, which leave in the order of its commands. They are written straight into the
 * connection's output, unless one before them has to wait: for another shard, for the log, or for a time.
 *
 * Between {@link begin} and {@link end} the shard's one writer is this client's.
 */
export class ReplyStream {
  readonly #core: ShardCore;
  readonly #connection: Connection;
  readonly #state: ClientState;
  readonly #writer: ReplyWriter;
  readonly #window: ReplyWindow;
  #queue: ReplyQueue | null = null;
  #isHolding = false;
  /** Bytes that were in the sink before the present replies, and bytes of those that are complete. */
  #sinkStart = 0;
  #mark = 0;

  constructor(core: ShardCore, connection: Connection, state: ClientState) {
    this.#core = core;
    this.#connection = connection;
    this.#state = state;
    this.#writer = core.reply;
    this.#window = new ReplyWindow(core.options.maxOutputBytes);
  }

  /** Bytes that wait for the client, for other shards or for the log. */
  get bytes(): number {
    return this.#connection.pendingOutputBytes + (this.#queue === null ? 0 : this.#queue.held.sizeBytes);
  }

  /** Whether none waits for anything but the client. */
  get isEmpty(): boolean {
    return this.#queue === null || this.#queue.isEmpty;
  }

  get isWaitingForLog(): boolean {
    return this.#queue?.isWaitingForLog ?? false;
  }

  /** Whether so many wait that no further command should be executed. */
  get isFull(): boolean {
    const queue = this.#queue;
    if (queue !== null && (queue.count >= QUEUED_MAX || queue.pendingCount >= this.#window.size)) return true;
    return this.bytes > this.#core.options.maxOutputBytes;
  }

  /** Whether the present replies alone are too much already. */
  get isLarge(): boolean {
    return this.#sinkStart + this.#mark > this.#core.options.maxOutputBytes;
  }

  /** The replies that follow are this client's. */
  begin(): void {
    this.#isHolding = this.#core.log.fsync === 'always' || !this.isEmpty;
    this.#beginSink();
  }

  /**
   * A reply was written.
   *
   * @param position - Where the log must be durable before it may leave; 0 when it need not wait for the log.
   */
  written(position: number): void {
    const mark = this.#writer.mark();
    if (this.#isHolding) this.#held().push(mark - this.#mark, position);
    this.#mark = mark;
  }

  error(text: string): void {
    this.#writer.error(text);
    this.written(0);
  }

  /** The next reply is yet to come: those behind it wait. */
  pending(reply: PendingReply): void {
    const queue = this.#held();
    this.#writer.flush();
    queue.pushPending(reply);
    if (this.#isHolding) return;
    this.#isHolding = true;
    this.#beginSink();
  }

  /** Takes back what was written since the last complete reply. */
  takeBack(): Buffer {
    this.#writer.flush();
    const sink = this.#sink;
    const start = this.#sinkStart + this.#mark;
    const lengthBytes = sink.sizeBytes - start;
    using last = sink.share(start, lengthBytes);
    const bytes = last.toBuffer();
    sink.trimBack(lengthBytes);
    this.#beginSink();
    return bytes;
  }

  /** Sends what may leave. The writer is the next client's. */
  end(): void {
    this.#writer.flush();
    this.#queue?.release(this.#connection.output, this.#core.log.durable);
    if (this.#connection.output.sizeBytes > 0) this.#connection.flush();
  }

  /**
   * Sends what may leave now that something was waited for. Not between begin and end.
   *
   * @returns Whether there was anything.
   */
  release(durablePosition: number): boolean {
    if (this.#queue?.release(this.#connection.output, durablePosition) !== true) return false;
    this.#connection.flush();
    return true;
  }

  /** A reply has come that others waited behind. */
  arrived(sizeBytes: number): void {
    this.#window.arrived(sizeBytes);
  }

  /** The log has failed: replies to writes that are not durable become errors. */
  fail(durablePosition: number, error: Uint8Array): void {
    this.#queue?.fail(durablePosition, error);
  }

  dispose(): void {
    this.#queue?.dispose();
  }

  #held(): ReplyQueue {
    this.#queue ??= new ReplyQueue(this.#core.memory);
    return this.#queue;
  }

  get #sink(): IOBuf {
    return this.#isHolding ? this.#held().held : this.#connection.output;
  }

  #beginSink(): void {
    const sink = this.#sink;
    this.#writer.begin(sink, this.#state.protocol);
    this.#sinkStart = sink.sizeBytes;
    this.#mark = 0;
  }
}
