import { IOBuf } from '@sunstar/iobuf';
import { OutOfMemoryError, SunstarError } from '@sunstar/runtime';
import { ClientState } from '../commands/context.js';
import { executeForShard } from '../commands/index.js';
import type { RoomWaiter } from '../log/log-waiters.js';
import { ParseStatus, type ProtocolVersion, ReplyWriter, RequestParser } from '../resp/index.js';
import { Answer, REQUEST_HEADER_BYTES } from './frames.js';
import type { ShardCore } from './shard-core.js';

/** Replies that may wait here until the asking shards fetch them. A single one may be larger. */
const ANSWERS_BYTES_MAX = 64 * 1024 * 1024;
const TOO_MUCH = Buffer.from(
  '-ERR too many large replies at the same time: pipeline fewer commands with large values\r\n',
);
const OUT_OF_MEMORY = Buffer.from('-OOM the shard that owns the key has no memory for the command.\r\n');

interface Waiting {
  readonly request: Uint8Array;
  readonly resolve: (answer: Uint8Array | Promise<Uint8Array>) => void;
  readonly reject: (error: unknown) => void;
}

/** The result of one command that was executed for another shard, or for a command of several shards. */
export interface Executed {
  readonly reply: Buffer;
  /** Where the log must be durable before the reply is sent; 0 when it need not. */
  readonly position: number;
}

/** Executes commands that other shards send, or that are parts of a command of several shards. */
export class PeerExecutor implements RoomWaiter {
  readonly #core: ShardCore;
  readonly #client = new ClientState(0);
  readonly #parser: RequestParser;
  /** Not the clients': one of them may be in the middle of its replies. */
  readonly #writer: ReplyWriter;
  readonly #replies: IOBuf;
  /** Answers of which pieces are still to be asked for. */
  readonly #answers = new Map<number, Answer>();
  #lastTicket = 0;
  /** Bytes of those answers. */
  #keptBytes = 0;
  /** Requests that came while the log was behind. */
  #waiting: Waiting[] = [];

  constructor(core: ShardCore) {
    this.#core = core;
    const { maxRequestBytes } = core.options;
    // The client's own shard has checked the limits; names that it adds may exceed them.
    this.#parser = new RequestParser(core.memory.bytes, {
      maxBulkBytes: maxRequestBytes,
      maxRequestBytes: 2 * maxRequestBytes,
      maxArguments: 2 ** 24,
    });
    this.#writer = new ReplyWriter(core.memory);
    this.#replies = new IOBuf(core.memory);
  }

  /** Executes a batch; see frames.ts. With `always` the answer comes when its changes are durable. */
  execute(request: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const { log } = this.#core;
    if (!log.isBehind && this.#waiting.length === 0) return this.#executeNow(request);
    if (this.#waiting.length === 0) log.awaitRoom(this);
    return new Promise((resolve, reject) => this.#waiting.push({ request, resolve, reject }));
  }

  logHasRoom(): void {
    const { log } = this.#core;
    while (this.#waiting.length > 0 && !log.isBehind) {
      const { request, resolve, reject } = this.#waiting[0];
      this.#waiting.shift();
      try {
        resolve(this.#executeNow(request));
      } catch (error) {
        reject(error);
      }
    }
    if (this.#waiting.length > 0) log.awaitRoom(this);
  }

  /** The next piece of an answer that was too large for one message. */
  more(ticket: number): Uint8Array {
    const answer = this.#answers.get(ticket);
    if (answer === undefined) {
      throw new SunstarError('SUNSTAR_INVARIANT', `There is no answer ${ticket} that goes on.`);
    }
    const isLast = answer.isLastPiece;
    if (isLast) this.#answers.delete(ticket);
    const piece = answer.take(isLast ? 0 : ticket);
    this.#keptBytes -= piece.length;
    return piece;
  }

  /** Executes one command in RESP that lies in a buffer. */
  executeOne(command: IOBuf, protocol: ProtocolVersion): Executed {
    const { memory } = this.#core;
    const length = command.sizeBytes;
    const block = memory.tryAllocate(Math.max(1, length));
    if (block < 0) return { reply: OUT_OF_MEMORY, position: 0 };
    try {
      command.copyToArena(block);
      const position = this.#run(block, length, protocol);
      const reply = this.#replies.toBuffer();
      return { reply, position };
    } finally {
      this.#replies.clear();
      memory.free(block);
    }
  }

  #executeNow(request: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const { memory, log } = this.#core;
    const view = new DataView(request.buffer, request.byteOffset, request.length);
    const replies: Buffer[] = [];
    const positions: number[] = [];
    let answerBytes = 0;
    let last = 0;
    const block = memory.tryAllocate(request.length);
    try {
      if (block >= 0) memory.bytes.set(request, block);
      this.#core.beginBatch();
      for (let at = 0; at < request.length; ) {
        const protocol = request[at] === 3 ? 3 : 2;
        const length = view.getUint32(at + 1, true);
        at += REQUEST_HEADER_BYTES;
        if (block < 0) {
          replies.push(OUT_OF_MEMORY);
          positions.push(0);
        } else {
          const position = this.#run(block + at, length, protocol);
          const isTooMuch = this.#keptBytes + answerBytes + this.#replies.sizeBytes > ANSWERS_BYTES_MAX;
          const reply = isTooMuch && answerBytes > 0 ? TOO_MUCH : this.#replies.toBuffer();
          this.#replies.clear();
          replies.push(reply);
          positions.push(position);
          answerBytes += reply.length;
          last = Math.max(last, position);
        }
        at += length;
      }
    } finally {
      this.#replies.clear();
      if (block >= 0) memory.free(block);
    }
    if (log.fsync !== 'always' || last <= log.durable) return this.#firstPiece(replies);
    return log.whenDurable(last).then((durable) => {
      const error = durable < last ? this.#core.lostWrite() : OUT_OF_MEMORY;
      return this.#firstPiece(replies.map((reply, index) => (positions[index] > durable ? error : reply)));
    });
  }

  /** Executes one command; its reply is in #replies. Returns the log position that it waits for. */
  #run(offset: number, length: number, protocol: ProtocolVersion): number {
    const { context, log } = this.#core;
    const writer = this.#writer;
    const parser = this.#parser;
    context.client = this.#client;
    this.#client.protocol = protocol;
    writer.begin(this.#replies, protocol);
    try {
      if (parser.parse(offset, offset + length) === ParseStatus.Complete) {
        executeForShard(context, parser.argv, parser.argc, writer);
      } else writer.error('ERR a shard sent a command that is none. Please report this.');
      writer.flush();
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      writer.rewind(0);
      this.#replies.append(OUT_OF_MEMORY);
    }
    return log.endCommand();
  }

  #firstPiece(replies: readonly Buffer[]): Uint8Array {
    const answer = new Answer(replies);
    if (answer.isLastPiece) return answer.take(0);
    this.#lastTicket = this.#lastTicket >= 0x7fffffff ? 1 : this.#lastTicket + 1;
    this.#answers.set(this.#lastTicket, answer);
    const piece = answer.take(this.#lastTicket);
    this.#keptBytes += answer.leftBytes;
    return piece;
  }
}
