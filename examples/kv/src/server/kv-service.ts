import { SunstarError } from '@sunstar/runtime';
import type { PeerExecutor } from './peer-executor.js';

/** What the shards ask of each other. One instance on every shard. */
export class KvService {
  readonly #executor: PeerExecutor;
  readonly #shardCount: number;
  /** On shard 0: who has arrived at which step, and is waiting for the others. */
  readonly #arrived = new Map<string, (() => void)[]>();

  constructor(executor: PeerExecutor, shardCount: number) {
    this.#executor = executor;
    this.#shardCount = shardCount;
  }

  /** Executes the commands of another shard's clients on this shard's keys; see frames.ts. */
  execute(request: Uint8Array): Uint8Array | Promise<Uint8Array> {
    return this.#executor.execute(request);
  }

  /** The next piece of an answer. */
  more(ticket: number): Uint8Array {
    return this.#executor.more(ticket);
  }

  /** Asked of shard 0: resolves when every shard has arrived at a step. */
  arrive(step: string): Promise<void> {
    const waiting = this.#arrived.get(step) ?? [];
    this.#arrived.set(step, waiting);
    if (waiting.length >= this.#shardCount) {
      throw new SunstarError('SUNSTAR_INVARIANT', `More shards than there are have arrived at '${step}'.`);
    }
    return new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length === this.#shardCount) for (const arrived of waiting) arrived();
    });
  }
}
