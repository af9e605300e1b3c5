import { IOBuf } from '@sunstar/iobuf';
import { OutOfMemoryError } from '@sunstar/runtime';
import type { Spread } from '../commands/index.js';
import { type ProtocolVersion, ReplyWriter } from '../resp/index.js';
import type { PendingReply } from './reply-queue.js';
import type { ShardServer } from './shard-server.js';

const OUT_OF_MEMORY = Buffer.from('-OOM no memory for a command that concerns several shards.\r\n');

/** A command that several shards take part in, until its reply is complete. */
export class SpreadCall implements PendingReply {
  readonly #server: ShardServer;
  readonly #protocol: ProtocolVersion;
  readonly #done: (sizeBytes: number) => void;
  readonly #writer: ReplyWriter;
  #replies: Uint8Array[] = [];
  #missing = 0;
  #bytes: Uint8Array | null = null;
  /** Where this shard's log must be durable for this shard's part. */
  #position = 0;
  #failure: Uint8Array | null = null;

  /** @param done - Called when the reply is complete, though it may still have to wait for the log. */
  constructor(server: ShardServer, protocol: ProtocolVersion, done: (sizeBytes: number) => void) {
    this.#server = server;
    this.#protocol = protocol;
    this.#done = done;
    this.#writer = new ReplyWriter(server.core.memory);
  }

  /** Sends the requests. The bytes of the client's command must be in place during this call, and only then. */
  start(spread: Spread): void {
    const { requests } = spread;
    this.#replies = new Array<Uint8Array>(requests.length);
    this.#missing = requests.length;
    const command = new IOBuf(this.#server.core.memory);
    for (const [index, request] of requests.entries()) {
      try {
        this.#writer.begin(command, this.#protocol);
        request.write(this.#writer);
        this.#writer.flush();
        this.#send(spread, index, request.shard, command);
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        this.#writer.rewind(0);
        this.#receive(spread, index, OUT_OF_MEMORY);
      }
      command.clear();
    }
    command[Symbol.dispose]();
    if (requests.length === 0) this.#finish(spread);
  }

  bytes(durablePosition: number): Uint8Array | null {
    return this.#position <= durablePosition ? this.#bytes : null;
  }

  fail(durablePosition: number, error: Uint8Array): void {
    if (this.#position <= durablePosition) return;
    this.#position = 0;
    this.#failure = error;
    if (this.#bytes !== null) this.#bytes = error;
  }

  #send(spread: Spread, index: number, shard: number, command: IOBuf): void {
    const { core, executor } = this.#server;
    if (shard !== core.shard.id) {
      const receiver = { receive: (reply: Uint8Array) => this.#receive(spread, index, reply) };
      this.#server.linkTo(shard).sendBuffer(this.#protocol, command, receiver);
      return;
    }
    const { reply, position } = executor.executeOne(command, this.#protocol);
    if (core.log.fsync === 'always') this.#position = Math.max(this.#position, position);
    this.#receive(spread, index, reply);
  }

  #receive(spread: Spread, index: number, reply: Uint8Array): void {
    this.#replies[index] = reply;
    if (--this.#missing === 0) this.#finish(spread);
  }

  #finish(spread: Spread): void {
    const result = new IOBuf(this.#server.core.memory);
    try {
      this.#writer.begin(result, this.#protocol);
      const next = spread.finish(this.#replies, this.#writer);
      this.#writer.flush();
      if (next !== null) {
        this.start(next);
        return;
      }
      this.#bytes = this.#failure ?? result.toBuffer();
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      this.#bytes = OUT_OF_MEMORY;
    } finally {
      result[Symbol.dispose]();
    }
    this.#done(this.#bytes.length);
  }
}
