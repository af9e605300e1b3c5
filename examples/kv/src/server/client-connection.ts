import { OutOfMemoryError, type SunstarError } from '@sunstar/runtime';
import type { Connection, Receiver } from '@sunstar/zerocopy-net';
import { ClientState } from '../commands/context.js';
import { execute, route, SEVERAL_SHARDS, spread } from '../commands/index.js';
import type { DurabilityWaiter, RoomWaiter } from '../log/log-waiters.js';
import { ParseStatus, RequestParser } from '../resp/index.js';
import { ClientClock } from './client-clock.js';
import { InputBuffer } from './input-buffer.js';
import { DelayedReply, type PendingOwner, RemoteReply } from './pending-replies.js';
import { ReplyStream } from './reply-stream.js';
import type { ShardServer } from './shard-server.js';
import { SpreadCall } from './spread-call.js';

/** Why no command of the client is executed at the moment. */
const Block = {
  /** Too many replies, or too many bytes of them, wait. */
  Replies: 1,
  /** A command must be finished before the next one begins. */
  Barrier: 2,
  /** The log is behind. */
  Log: 4,
  /** The connection is being closed. */
  Closing: 8,
} as const;

const ASTERISK = 0x2a;
/** What a client that has to wait may send before it is read no further. */
const INPUT_HELD_MAX = 64 * 1024;
const NO_MEMORY = 'OOM no memory for this command';

/**
 * One client: parses its commands straight from the receive buffers, executes those on this shard's keys, sends the
 * others to their shards, and stops to do so while the client, the log or a command is behind.
 */
export class ClientConnection implements Receiver, DurabilityWaiter, RoomWaiter, PendingOwner {
  readonly state: ClientState;
  readonly connection: Connection;
  readonly #server: ShardServer;
  readonly #parser: RequestParser;
  readonly #input: InputBuffer;
  readonly #replies: ReplyStream;
  readonly #clock: ClientClock;
  #blocks = 0;
  /** Commands are being executed: what happens meanwhile is looked at when they are done. */
  #isRunning = false;
  #awaitsLog = false;
  #awaitsRoom = false;
  #isPaused = false;
  #hasEnded = false;
  #isClosed = false;
  #delayed: DelayedReply | null = null;

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
    this.#replies = new ReplyStream(core, connection, this.state);
    this.#clock = new ClientClock(core.reactor.nowMs);
  }

  get ageMs(): number {
    return this.#clock.ageMs(this.#server.core.reactor.nowMs);
  }

  get idleMs(): number {
    return this.#clock.idleMs(this.#server.core.reactor.nowMs);
  }

  /** Bytes of replies that wait for the client, for other shards or for the log. */
  get outputBytes(): number {
    return this.#replies.bytes;
  }

  /** Bytes that were received and not executed. */
  get inputBytes(): number {
    return this.#input.lengthBytes;
  }

  // ---- from the connection

  onData(_connection: Connection, offset: number, length: number): void {
    this.#clock.active(this.#server.core.reactor.nowMs);
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
    this.#replies.dispose();
    this.#server.clientClosed(this);
  }

  // ---- from the log, the other shards and the clock

  durable(position: number): boolean {
    // Commands that are executed in here do not make this client wait a second time.
    if (!this.#isClosed) this.#release(position);
    this.#awaitsLog = !this.#isClosed && this.#replies.isWaitingForLog;
    return this.#awaitsLog;
  }

  durabilityFailed(): void {
    this.#awaitsLog = false;
    if (this.#isClosed) return;
    const { core } = this.#server;
    this.#replies.fail(core.log.durable, core.lostWrite());
    this.#release(core.log.durable);
  }

  logHasRoom(): void {
    this.#awaitsRoom = false;
    this.#unblock(Block.Log);
  }

  replyArrived(sizeBytes: number): void {
    this.#replies.arrived(sizeBytes);
    if (!this.#isClosed && !this.#isRunning) this.#release(this.#server.core.log.durable);
  }

  /** Looks at the clocks; about once a second. */
  sweep(nowMs: number): void {
    const { options, stats } = this.#server.core;
    switch (this.#clock.check(nowMs, this.connection.pendingOutputBytes, options)) {
      case 'output':
        stats.outputTimeoutCloses++;
        this.connection.reset();
        break;
      case 'handshake':
        stats.handshakeTimeoutCloses++;
        this.connection.reset();
        break;
      case 'idle':
        stats.idleTimeoutCloses++;
        this.#close();
        break;
      default:
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
      this.#replies.begin();
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
      this.#replies.end();
    } catch (error) {
      this.#outOfMemory(error);
    } finally {
      // The record of a command that failed half-way.
      core.log.endCommand();
      this.#isRunning = false;
    }
    if (this.connection.pendingOutputBytes > core.options.maxOutputBytes) this.#blocks |= Block.Replies;
    this.#awaitWhatIsBehind();
    this.#closeIfDone();
    return at;
  }

  #execute(start: number, end: number): void {
    const { core } = this.#server;
    const { argv, argc } = this.#parser;
    this.#clock.command();
    const shard = route(core.context, argv, argc);
    if (shard === core.shard.id) this.#executeHere(argv, argc);
    else if (shard === SEVERAL_SHARDS) this.#executeOnSeveral(argv, argc);
    else this.#executeThere(shard, start, end, argv, argc);
    if (core.log.isBehind) this.#blocks |= Block.Log;
  }

  #executeHere(argv: Uint32Array, argc: number): void {
    const { context, reply, log } = this.#server.core;
    execute(context, argv, argc, reply);
    const position = log.endCommand();
    if (this.state.pauseMs > 0) {
      this.#delay();
      return;
    }
    this.#replies.written(log.fsync === 'always' ? position : 0);
    if (this.#replies.isLarge) this.#blocks |= Block.Replies;
    if (this.state.closing) this.#blocks |= Block.Closing;
  }

  #executeThere(shard: number, start: number, end: number, argv: Uint32Array, argc: number): void {
    const link = this.#server.linkTo(shard);
    const reply = new RemoteReply(this);
    try {
      if (this.#server.core.memory.bytes[start] === ASTERISK) {
        link.send(this.state.protocol, start, end - start, reply);
      } else {
        using command = this.#server.encode(argv, argc);
        link.sendBuffer(this.state.protocol, command, reply);
      }
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      this.#replies.error(NO_MEMORY);
      return;
    }
    this.#replies.pending(reply);
    if (this.#replies.isFull) this.#blocks |= Block.Replies;
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
    this.#replies.pending(call);
    call.start(plan);
    context.client = this.state;
    if (this.#replies.isFull) this.#blocks |= Block.Replies;
  }

  /** DEBUG SLEEP: the reply that was just written leaves later, and no command is executed before. */
  #delay(): void {
    const bytes = this.#replies.takeBack();
    this.#delayed = new DelayedReply(bytes, this.state.pauseMs, () => {
      this.#delayed = null;
      this.replyArrived(bytes.length);
      this.#unblock(Block.Barrier);
    });
    this.state.pauseMs = 0;
    this.#blocks |= Block.Barrier;
    this.#replies.pending(this.#delayed);
  }

  #protocolError(text: string): void {
    const { core } = this.#server;
    core.stats.protocolErrors++;
    core.logger.debug({ client: this.state.id, text }, 'protocol error');
    this.#replies.error(`ERR ${text}`);
    this.#blocks |= Block.Closing;
  }

  // ---- waiting

  /** Moves what may leave to the output. */
  #release(durablePosition: number): void {
    try {
      if (this.#replies.release(durablePosition) && this.#blocks !== 0) this.#continue();
    } catch (error) {
      this.#outOfMemory(error);
    }
    this.#closeIfDone();
  }

  #awaitWhatIsBehind(): void {
    const { log } = this.#server.core;
    if (!this.#awaitsLog && log.fsync === 'always' && this.#replies.isWaitingForLog) {
      this.#awaitsLog = true;
      log.awaitDurable(this);
    }
    if ((this.#blocks & Block.Log) !== 0 && !this.#awaitsRoom) {
      this.#awaitsRoom = true;
      log.awaitRoom(this);
    }
  }

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
    if (!this.#replies.isFull) this.#blocks &= ~Block.Replies;
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
    if (isLast && !this.#isClosed && this.#replies.isEmpty) this.#close();
  }

  #close(): void {
    this.#blocks |= Block.Closing;
    void this.connection.close();
  }
}
