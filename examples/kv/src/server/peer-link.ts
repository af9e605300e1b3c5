import { IOBuf } from '@sunstar/iobuf';
import type { Completion, Remote, ShardMemory } from '@sunstar/runtime';
import type { ProtocolVersion } from '../resp/index.js';
import { AnswerReader, appendRequestHeader } from './frames.js';
import type { KvService } from './kv-service.js';

/** Someone who waits for the reply to one command. */
export interface ReplyReceiver {
  receive(reply: Uint8Array): void;
}

/** A batch is sent early when it is this large, so that one message does not grow without limit. */
const BATCH_BYTES = 256 * 1024;

/**
 * The commands that this shard's clients have for another shard. Those of one tick travel as one message, and so do
 * their replies; their order is kept.
 */
export class PeerLink implements Completion {
  readonly #memory: ShardMemory;
  readonly #remote: Remote<KvService>;
  readonly #defer: (task: Completion) => void;
  readonly #batch: IOBuf;
  #receivers: ReplyReceiver[] = [];
  #isScheduled = false;

  constructor(memory: ShardMemory, remote: Remote<KvService>, defer: (task: Completion) => void) {
    this.#memory = memory;
    this.#remote = remote;
    this.#defer = defer;
    this.#batch = new IOBuf(memory);
  }

  /**
   * Sends a command that lies in the arena.
   *
   * @throws OutOfMemoryError and sends nothing when there is no memory for a copy.
   */
  send(protocol: ProtocolVersion, offset: number, length: number, receiver: ReplyReceiver): void {
    this.#append(protocol, length, receiver, () => this.#batch.appendRange(offset, length));
  }

  /** The same for one that lies in a buffer, which is empty afterwards. */
  sendBuffer(protocol: ProtocolVersion, command: IOBuf, receiver: ReplyReceiver): void {
    this.#append(protocol, command.sizeBytes, receiver, () => this.#batch.take(command));
  }

  /** The deferred step at the end of the tick. */
  complete(): void {
    this.#isScheduled = false;
    this.#flush();
  }

  #append(protocol: ProtocolVersion, length: number, receiver: ReplyReceiver, append: () => void): void {
    const before = this.#batch.sizeBytes;
    try {
      appendRequestHeader(this.#batch, this.#memory.arena.view, protocol, length);
      append();
    } catch (error) {
      this.#batch.trimBack(this.#batch.sizeBytes - before);
      throw error;
    }
    this.#receivers.push(receiver);
    if (this.#batch.sizeBytes >= BATCH_BYTES) this.#flush();
    else if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#defer(this);
    }
  }

  #flush(): void {
    const receivers = this.#receivers;
    if (receivers.length === 0) return;
    this.#receivers = [];
    const request = this.#batch.toBuffer();
    this.#batch.clear();
    void this.#distribute(this.#remote.execute(request), receivers);
  }

  async #distribute(first: Promise<Uint8Array>, receivers: readonly ReplyReceiver[]): Promise<void> {
    let received = 0;
    try {
      for (let piece = first; ; ) {
        const reader = new AnswerReader(await piece);
        for (let reply = reader.next(); reply !== undefined; reply = reader.next()) {
          receivers[received++].receive(reply);
        }
        if (reader.ticket === 0) return;
        piece = this.#remote.more(reader.ticket);
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const reply = Buffer.from(`-ERR another shard did not answer: ${reason.replace(/[\r\n]+/g, ' ')}\r\n`);
      while (received < receivers.length) receivers[received++].receive(reply);
    }
  }
}
