import type { IOBuf } from '@sunstar/iobuf';
import { OutOfMemoryError, type SunstarError } from '@sunstar/runtime';
import type { Connection, Receiver } from '@sunstar/zerocopy-net';
import { ClientState } from '../commands/context.js';
import { execute, route, SEVERAL_SHARDS, spread } from '../commands/index.js';
import type { DurabilityWaiter, RoomWaiter } from '../log/shard-log.js';
import { ParseStatus, RequestParser } from '../resp/index.js';
import { InputBuffer } from './input-buffer.js';
import { DelayedReply, type PendingOwner, RemoteReply } from './pending-replies.js';
import { ReplyQueue } from './reply-queue.js';
import { ReplyWindow } from './reply-window.js';
import type { ShardServer } from './shard-server.js';
import { SpreadCall } from './spread-call.js';

/** Why no command of the client is executed at the moment. */
const Block = {
  /** Too many bytes of replies, or too many replies, wait. */
  Replies: 1,
  /** A command must be finished before the next one begins. */
  Barrier: 2,
  /** The log is behind. */
  Log: 4,
  /** The connection is being closed. */
  Closing: 8,
} as const;

/** Replies that may wait for the log; those of other shards are limited by a window. */
const PENDING_MAX = 1024;
/** What a client that has to wait may send before it is read no further. */
const INPUT_HELD_MAX = 64 * 1024;

const NO_MEMORY = 'OOM no memory for this command';

/**
 * One client: parses its commands straight from the receive buffers, executes those on this shard's keys into the
 * connection's output, sends the others to their shards, and sees to it that replies leave in the order of the
 * commands, and those to writes not before they are durable where that is asked for.
 */
export class ClientConnection implements Receiver, DurabilityWaiter, RoomWaiter, PendingOwner {
  readonly state: ClientState;
  readonly connection: Connection;
  readonly #server: ShardServer;
  readonly #parser: RequestParser;
  readonly #input: InputBuffer;
  readonly #openedMs: number;
  readonly #window: ReplyWindow;
  #queue: ReplyQueue | null = null;
  #blocks = 0;
  /** Commands are being executed: what happens meanwhile is looked at when they are done. */
  #isRunning = false;
  #isHolding = false;
  /** Bytes that were in the sink before the present replies, and bytes of those that are complete. */
  #sinkStart = 0;
  #mark = 0;
  #awaitsLog = false;
  #awaitsRoom = false;
  #isPaused = false;
  #hasEnded = false;
  #isClosed = false;
  #hasSentCommand = false;
  #delayed: DelayedReply | null = null;
  #activeMs: number;
  #sweptPendingBytes = 0;
  #progressMs: number;

  constructor(server: ShardServer, connection: Connection, id: number) {
    const { core } = server;
    this.#server = server;
    this.connection = connection;
    this.state = new ClientState(id);
    this.#parser = new RequestParser(core.memory.bytes, {
      maxBulkBytes: core.options.maxValueBytes,
      maxRequestBytes: core.options.maxRequestBytes,
    });
    this.#input = new InputBuffer(core.memory);
    this.#window = new ReplyWindow(core.options.maxOutputBytes);
    this.#openedMs = core.reactor.nowMs;
    this.#activeMs = this.#openedMs;
    this.#progressMs = this.#openedMs;
  }

  get ageMs(): number {
    return this.#server.core.reactor.nowMs - this.#openedMs;
  }

  get idleMs(): number {
    return this.#server.core.reactor.nowMs - this.#activeMs;
  }

  /** Bytes of replies that wait for the client, for other shards or for the log. */
  get outputBytes(): number {
    return this.connection.pendingOutputBytes + (this.#queue === null ? 0 : this.#queue.held.sizeBytes);
  }

  get inputBytes(): number {
    return this.#input.lengthBytes;
  }

  // ---- from the connection

  onData(_connection: Connection, offset: number, length: number): void {
    this.#activeMs = this.#server.core.reactor.nowMs;
    if (this.#input.lengthBytes === 0 && this.#blocks === 0) {
      const end = offset + length;
      const at = this.#run(offset, end);
      if (at < end && this.#wantsInput) this.#keep(at, end - at);
    } else if (this.#wantsInput) {
      this.#keep(offset, length);
      if (this.#blocks === 0) this.#runInput();
    }
    if (this.#blocks !== 0 && this.#input.lengthBytes > INPUT_HELD_MAX) this.#pause();
  }

  onEnd(): void {
    this.#hasEnded = true;
    this.#closeIfDone();
  }

  onDrain(): void {
    this.#continue();
  }

  onClose(_connection: Connection, _error: SunstarError | null): void {
    this.#isClosed = true;
    this.#blocks |= Block.Closing;
    this.#delayed?.cancel();
    this.#input.dispose();
    this.#queue?.dispose();
    this.#server.clientClosed(this);
  }

  // ---- from the log and the other shards

  durable(position: number): boolean {
    if (this.#isClosed || this.#queue === null) {
      this.#awaitsLog = false;
      return false;
    }
    this.#release(this.#queue, position);
    this.#awaitsLog = !this.#isClosed && this.#queue.isWaitingForLog;
    return this.#awaitsLog;
  }

  durabilityFailed(): void {
    this.#awaitsLog = false;
    if (this.#isClosed || this.#queue === null) return;
    const { core } = this.#server;
    this.#queue.fail(core.log.durable, core.lostWrite());
    this.#release(this.#queue, core.log.durable);
  }

  logHasRoom(): void {
    this.#awaitsRoom = false;
    this.#unblock(Block.Log);
  }

  replyArrived(sizeBytes: number): void {
    this.#window.arrived(sizeBytes);
    if (!this.#isClosed && !this.#isRunning && this.#queue !== null)
      this.#release(this.#queue, this.#server.core.log.durable);
  }

  /** Looks at the clocks; about once a second. */
  sweep(nowMs: number): void {
    const { options, stats } = this.#server.core;
    const pendingBytes = this.connection.pendingOutputBytes;
    if (pendingBytes === 0 || pendingBytes !== this.#sweptPendingBytes) {
      this.#sweptPendingBytes = pendingBytes;
      this.#progressMs = nowMs;
    }
    if (isOver(options.clientOutputTimeoutMs, nowMs - this.#progressMs)) {
      stats.outputTimeoutCloses++;
      this.connection.reset();
    } else if (!this.#hasSentCommand && isOver(options.handshakeTimeoutMs, nowMs - this.#openedMs)) {
      stats.handshakeTimeoutCloses++;
      this.connection.reset();
    } else if (pendingBytes === 0 && isOver(options.idleTimeoutMs, nowMs - this.#activeMs)) {
      stats.idleTimeoutCloses++;
      this.#close();
    }
  }

  // ---- commands

  get #wantsInput(): boolean {
    return (this.#blocks & Block.Closing) === 0;
  }

  /** Executes the commands in a range of the arena; returns how far it came. */
  #run(start: number, end: number): number {
    const { core } = this.#server;
    let at = start;
    this.#isRunning = true;
    core.beginBatch();
    core.context.client = this.state;
    try {
      this.#beginReplies();
      while (this.#blocks === 0 && at < end) {
        const status = this.#parser.parse(at, end);
        if (status === ParseStatus.NeedMore) break;
        if (status === ParseStatus.ProtocolError) {
          this.#protocolError(this.#parser.error);
          break;
        }
        const commandAt = at;
        at += this.#parser.consumedBytes;
        if (this.#parser.argc > 0) this.#execute(commandAt, at);
      }
      this.#endReplies();
    } catch (error) {
      this.#outOfMemory(error);
    }
    this.#isRunning = false;
    this.#closeIfDone();
    return at;
  }

  #execute(start: number, end: number): void {
    const { core } = this.#server;
    const { argv, argc } = this.#parser;
    this.#hasSentCommand = true;
    const shard = route(core.context, argv, argc);
    if (shard === core.shard.id) this.#executeHere(argv, argc);
    else if (shard === SEVERAL_SHARDS) this.#executeOnSeveral(argv, argc);
    else this.#executeThere(shard, start, end, argv, argc);
    if (core.log.isBehind) this.#blocks |= Block.Log;
  }

  #executeHere(argv: Uint32Array, argc: number): void {
    const { context, reply, log, options } = this.#server.core;
    execute(context, argv, argc, reply);
    const position = log.endCommand();
    if (this.state.pauseMs > 0) {
      this.#delay();
      return;
    }
    const mark = reply.mark();
    if (this.#isHolding) {
      const waitsFor = position > 0 && log.fsync === 'always' ? position : 0;
      this.#held().push(mark - this.#mark, waitsFor);
    }
    this.#mark = mark;
    if (this.#sinkStart + mark > options.maxOutputBytes) this.#blocks |= Block.Replies;
    if (this.state.closing) this.#blocks |= Block.Closing;
  }

  #executeThere(shard: number, start: number, end: number, argv: Uint32Array, argc: number): void {
    const link = this.#server.linkTo(shard);
    const pending = new RemoteReply(this);
    try {
      if (this.#server.core.memory.bytes[start] === 0x2a) {
        link.send(this.state.protocol, start, end - start, pending);
      } else {
        using command = this.#server.encode(argv, argc);
        link.sendBuffer(this.state.protocol, command, pending);
      }
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      this.#replyError(NO_MEMORY);
      return;
    }
    this.#pushPending(pending);
  }

  #executeOnSeveral(argv: Uint32Array, argc: number): void {
    const { context } = this.#server.core;
    const plan = spread(context, argv, argc);
    // A plan that begins with one shard has further rounds: what follows must not overtake it.
    const isBarrier = plan.requests.length === 1;
    if (isBarrier) this.#blocks |= Block.Barrier;
    const call = new SpreadCall(this.#server, this.state.protocol, (sizeBytes) => {
      this.replyArrived(sizeBytes);
      if (isBarrier) this.#unblock(Block.Barrier);
    });
    this.#pushPending(call);
    call.start(plan);
    context.client = this.state;
  }

  #protocolError(text: string): void {
    const { core } = this.#server;
    core.stats.protocolErrors++;
    core.logger.debug({ client: this.state.id, text }, 'protocol error');
    this.#replyError(`ERR ${text}`);
    this.#blocks |= Block.Closing;
  }

  // ---- replies

  #held(): ReplyQueue {
    this.#queue ??= new ReplyQueue(this.#server.core.memory);
    return this.#queue;
  }

  get #sink(): IOBuf {
    return this.#isHolding ? this.#held().held : this.connection.output;
  }

  /** Replies go straight to the output unless others must leave before them, or they may have to wait. */
  #beginReplies(): void {
    const { log } = this.#server.core;
    this.#isHolding = log.fsync === 'always' || (this.#queue !== null && !this.#queue.isEmpty);
    this.#beginSink();
  }

  #beginSink(): void {
    const sink = this.#sink;
    this.#server.core.reply.begin(sink, this.state.protocol);
    this.#sinkStart = sink.sizeBytes;
    this.#mark = 0;
  }

  #endReplies(): void {
    const { core } = this.#server;
    core.reply.flush();
    this.#queue?.release(this.connection.output, core.log.durable);
    if (this.connection.output.sizeBytes > 0) this.#flush();
    if (
      this.#queue !== null &&
      !this.#awaitsLog &&
      core.log.fsync === 'always' &&
      this.#queue.isWaitingForLog
    ) {
      this.#awaitsLog = true;
      core.log.awaitDurable(this);
    }
    if ((this.#blocks & Block.Log) !== 0 && !this.#awaitsRoom) {
      this.#awaitsRoom = true;
      core.log.awaitRoom(this);
    }
  }

  #replyError(text: string): void {
    const { reply } = this.#server.core;
    reply.error(text);
    const mark = reply.mark();
    if (this.#isHolding) this.#held().push(mark - this.#mark, 0);
    this.#mark = mark;
  }

  /** The next reply is yet to come: those of the commands behind it are held. */
  #pushPending(pending: RemoteReply | SpreadCall | DelayedReply): void {
    const { reply } = this.#server.core;
    const queue = this.#held();
    reply.flush();
    queue.pushPending(pending);
    if (!this.#isHolding) {
      this.#isHolding = true;
      this.#beginSink();
    }
    if (this.#isFull(queue)) this.#blocks |= Block.Replies;
  }

  /** DEBUG SLEEP: the reply that was just written leaves later, and no command is executed before. */
  #delay(): void {
    this.#server.core.reply.flush();
    const sink = this.#sink;
    const start = this.#sinkStart + this.#mark;
    const lengthBytes = sink.sizeBytes - start;
    using last = sink.share(start, lengthBytes);
    const bytes = last.toBuffer();
    sink.trimBack(lengthBytes);
    this.#beginSink();
    this.#delayed = new DelayedReply(bytes, this.state.pauseMs, () => {
      this.#delayed = null;
      this.replyArrived(bytes.length);
      this.#unblock(Block.Barrier);
    });
    this.state.pauseMs = 0;
    this.#blocks |= Block.Barrier;
    this.#pushPending(this.#delayed);
  }

  #isFull(queue: ReplyQueue): boolean {
    return queue.count >= PENDING_MAX || queue.pendingCount >= this.#window.size;
  }

  /** Moves what may leave to the output. */
  #release(queue: ReplyQueue, durablePosition: number): void {
    try {
      if (queue.release(this.connection.output, durablePosition)) {
        this.#flush();
        if ((this.#blocks & Block.Replies) !== 0) this.#continue();
      }
    } catch (error) {
      this.#outOfMemory(error);
    }
    if (queue.isEmpty) this.#closeIfDone();
  }

  #flush(): void {
    this.connection.flush();
    if (this.connection.pendingOutputBytes > this.#server.core.options.maxOutputBytes) {
      this.#blocks |= Block.Replies;
    }
  }

  // ---- waiting

  #keep(offset: number, length: number): void {
    try {
      this.#input.append(offset, length);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      this.#server.core.logger.warn(
        { err: error, client: this.state.id },
        'client closed: no memory for its command',
      );
      this.connection.output.append(`-${NO_MEMORY}\r\n`);
      this.connection.flush();
      this.#close();
    }
  }

  #runInput(): void {
    const input = this.#input;
    if (input.lengthBytes > 0) input.consumeTo(this.#run(input.start, input.end));
    if (!this.#wantsInput) input.dispose();
  }

  /** There is no memory for a reply, not even for an error. */
  #outOfMemory(error: unknown): void {
    if (!(error instanceof OutOfMemoryError)) throw error;
    this.#server.core.logger.warn(
      { err: error, client: this.state.id },
      'client closed: no memory for its reply',
    );
    this.#blocks |= Block.Closing;
    this.connection.reset();
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#server.core.stats.backpressurePauses++;
    this.connection.pauseReading();
  }

  #unblock(block: number): void {
    this.#blocks &= ~block;
    this.#continue();
  }

  /** Goes on with the commands if nothing is in the way any more. */
  #continue(): void {
    if (this.#isClosed || this.#isRunning) return;
    const isBelow = this.outputBytes <= this.#server.core.options.maxOutputBytes;
    if (isBelow && (this.#queue === null || !this.#isFull(this.#queue))) this.#blocks &= ~Block.Replies;
    if (this.#blocks !== 0) return;
    this.#runInput();
    if (this.#blocks === 0 && this.#isPaused) {
      this.#isPaused = false;
      this.connection.resumeReading();
    }
    this.#closeIfDone();
  }

  /** Closes when the client has ended, or is to be closed, and all replies are on their way. */
  #closeIfDone(): void {
    const isLast = (this.#blocks & Block.Closing) !== 0 || (this.#hasEnded && this.#blocks === 0);
    if (isLast && !this.#isClosed && (this.#queue === null || this.#queue.isEmpty)) this.#close();
  }

  #close(): void {
    this.#blocks |= Block.Closing;
    void this.connection.close();
  }
}

function isOver(timeoutMs: number, elapsedMs: number): boolean {
  return timeoutMs > 0 && elapsedMs >= timeoutMs;
}
