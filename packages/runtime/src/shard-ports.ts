import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { MAX_SHARDS_WITH_PORTS } from './smp/index.js';

/** The ends of the message channels between shards that no thread has been given yet. */
export class ShardPorts {
  /** By shard, and by the other shard. */
  readonly #ports: (MessagePort | undefined)[][];

  constructor(shardCount: number) {
    this.#ports = Array.from({ length: shardCount }, () => new Array<undefined>(shardCount).fill(undefined));
    for (let shardId = 0; shardId < shardCount; shardId++) {
      for (let peerId = 0; peerId < shardId; peerId++) this.#connect(shardId, peerId);
    }
  }

  /** Makes new channels between a shard that starts again and all others. */
  renew(shardId: number): void {
    for (let peerId = 0; peerId < this.#ports.length; peerId++) {
      if (peerId !== shardId) this.#connect(shardId, peerId);
    }
  }

  /** A shard's ends of all its channels, by the other shard. */
  take(shardId: number): (MessagePort | undefined)[] {
    return this.#ports[shardId].map((_, peerId) => this.takeOne(shardId, peerId));
  }

  /** A shard's end of the channel with another. */
  takeOne(shardId: number, peerId: number): MessagePort | undefined {
    const port = this.#ports[shardId][peerId];
    this.#ports[shardId][peerId] = undefined;
    return port;
  }

  #connect(shardId: number, peerId: number): void {
    if (this.#ports.length > MAX_SHARDS_WITH_PORTS) return;
    const { port1, port2 } = new MessageChannel();
    this.#ports[shardId][peerId] = port1;
    this.#ports[peerId][shardId] = port2;
  }
}
