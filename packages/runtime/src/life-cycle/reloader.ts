import type { Logger } from '../log.js';
import type { ShardCrashedError } from '../shard-crashed-error.js';
import { type ReloadOptions, RestartPolicy } from './restart-policy.js';

/** A shard's thread, as the reloader sees it. */
export interface ReloadedShard {
  readonly shardId: number;
  /** Resolves when the shard has forgotten a peer that is gone, or has ended itself. */
  forgot(peerId: number): Promise<void>;
}

/** What a {@link Reloader} stands on. */
export interface ReloaderParts {
  readonly options: Required<ReloadOptions>;
  readonly log: Logger;
  /** The present threads, by shard number. */
  readonly shards: readonly ReloadedShard[];
  /**
   * Starts new threads for shards whose threads have ended and that all others have forgotten. Resolves when they have
   * started; rejects when one crashed or took too long, which {@link Reloader.crashed} hears of by itself.
   */
  restart(shardIds: readonly number[]): Promise<void>;
  /** A shard has crashed too often. */
  giveUp(error: ShardCrashedError): void;
}

/**
 * Starts crashed shards again. All that are down are started together: a shard needs the others to start its services,
 * so one by one they would only fail each other.
 */
export class Reloader {
  readonly #parts: ReloaderParts;
  readonly #policies = new Map<number, RestartPolicy>();
  readonly #down = new Set<number>();
  #notBeforeMs = 0;
  #running: Promise<void> | undefined;
  #stopped = false;
  #wake: () => void = () => {};
  #restarts = 0;

  constructor(parts: ReloaderParts) {
    this.#parts = parts;
  }

  /** How many threads were started in place of crashed ones. */
  get restarts(): number {
    return this.#restarts;
  }

  /** A shard has crashed, and the others were told. */
  crashed(error: ShardCrashedError): void {
    if (this.#stopped) return;
    const { shardId } = error;
    const { options, log } = this.#parts;
    const policy = this.#policies.get(shardId) ?? new RestartPolicy(options);
    this.#policies.set(shardId, policy);
    const delayMs = policy.crashed(performance.now());
    if (delayMs === undefined) {
      log.error({ err: error, shard: shardId }, 'a shard crashed too often and is not started again');
      this.#stopped = true;
      this.#wake();
      this.#parts.giveUp(error);
      return;
    }
    log.error({ err: error, shard: shardId, delayMs }, 'a shard crashed and is started again');
    this.#down.add(shardId);
    this.#notBeforeMs = Math.max(this.#notBeforeMs, performance.now() + delayMs);
    this.#running ??= this.#run();
  }

  /** Starts nothing any more; resolves when nothing is being started. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#down.size > 0 && !this.#stopped) {
      await this.#wait();
      const batch = [...this.#down];
      const others = this.#parts.shards.filter(({ shardId }) => !this.#down.has(shardId));
      await Promise.all(others.flatMap((shard) => batch.map((shardId) => shard.forgot(shardId))));
      // Stopped, or another one has crashed while these were forgotten: it is forgotten first, too.
      if (this.#stopped || this.#down.size !== batch.length) continue;
      this.#down.clear();
      this.#notBeforeMs = 0;
      try {
        await this.#parts.restart(batch);
        this.#restarts += batch.length;
        this.#parts.log.info({ shards: batch }, 'crashed shards run again');
      } catch {
        // They crashed again, which was reported.
      }
    }
    this.#running = undefined;
  }

  async #wait(): Promise<void> {
    for (;;) {
      const delayMs = this.#notBeforeMs - performance.now();
      if (delayMs <= 0 || this.#stopped) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, delayMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
