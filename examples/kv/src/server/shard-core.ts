import {
  type Logger,
  type Reactor,
  type ShardContext,
  type ShardMemory,
  SunstarError,
} from '@sunstar/runtime';
import { CommandContext, type WriteRefusal } from '../commands/context.js';
import type { ShardLog } from '../log/shard-log.js';
import type { ShardStorage } from '../log/shard-storage.js';
import type { ServerOptions } from '../options.js';
import { ReplyWriter } from '../resp/index.js';
import { Store } from '../store/index.js';
import type { ClientConnection } from './client-connection.js';
import { makeConfig } from './config.js';
import { ServerFacts } from './info.js';
import { newServerStats, type ServerStats } from './stats.js';

/**
 * Share of the arena that keys and values may take: the rest is for requests and replies on their way, the log's
 * buffers and the receive buffers.
 */
const STORE_SHARE = 0.8;

/** What everything on one shard works with. */
export class ShardCore {
  readonly shard: ShardContext;
  readonly options: ServerOptions;
  readonly memory: ShardMemory;
  readonly reactor: Reactor;
  readonly logger: Logger;
  /** The most that `store.maxBytes` may be. */
  readonly largestStoreBytes: number;
  readonly store: Store;
  readonly context: CommandContext;
  /** Writes all replies of the shard, one connection after the other. */
  readonly reply: ReplyWriter;
  readonly clients: Set<ClientConnection> = new Set();
  readonly stats: ServerStats = newServerStats();
  #storage: ShardStorage | null = null;
  #refused: SunstarError | null = null;
  #wallClockOffsetMs = 0;

  constructor(shard: ShardContext, options: ServerOptions) {
    this.shard = shard;
    this.options = options;
    this.memory = shard.memory;
    this.reactor = shard.reactor;
    this.logger = shard.log;
    // A command may be as large as --max-request allows, and lies in one piece while it is executed.
    shard.memory.configure({
      largeAllocationBytes: Number.POSITIVE_INFINITY,
      onWarning: (warning) => shard.log.warn({ err: warning }, 'memory'),
    });
    this.largestStoreBytes = Math.floor(shard.memory.arena.sizeBytes * STORE_SHARE);
    this.store = new Store(shard.memory, { maxBytes: this.largestStoreBytes });
    this.reply = new ReplyWriter(shard.memory);
    this.context = new CommandContext({
      memory: shard.memory,
      store: this.store,
      config: makeConfig(this),
      server: new ServerFacts(this),
      shardId: shard.id,
      shardCount: shard.count,
    });
    this.context.maxValueBytes = options.maxValueBytes;
    this.adjustClock();
  }

  /**
   * Compares the reactor's clock, which costs nothing to read, with the time of day. To be called often enough for
   * the second to be followed when it is changed.
   */
  adjustClock(): void {
    const [seconds, nanoseconds] = process.hrtime();
    this.#wallClockOffsetMs = Date.now() - (seconds * 1000 + nanoseconds / 1e6);
  }

  get storage(): ShardStorage {
    if (this.#storage === null)
      throw new SunstarError('SUNSTAR_INVARIANT', 'The log of this shard is not open yet.');
    return this.#storage;
  }

  /** The log has been replayed and is open. */
  set storage(storage: ShardStorage) {
    this.#storage = storage;
  }

  get log(): ShardLog {
    return this.storage.log;
  }

  /** To be called before a batch of commands is executed. */
  beginBatch(): void {
    this.store.nowMs = Math.floor(this.reactor.nowMs + this.#wallClockOffsetMs);
    const { failure } = this.log;
    if (failure !== this.#refused) {
      this.#refused = failure;
      this.context.writeRefusal = this.#refusal(failure);
    }
  }

  /** The reply to a write of which it is not known whether it is on the device. */
  lostWrite(): Buffer {
    const { failure } = this.log;
    const reason = failure === null ? 'the log could not be written.' : oneLine(failure.message);
    return Buffer.from(`-IOERR This write may be lost: ${reason}\r\n`);
  }

  #refusal(failure: SunstarError | null): WriteRefusal {
    if (failure === null) return null;
    const remedy = this.log.isFatal
      ? 'Restart the server when the cause is removed.'
      : 'They are accepted again by themselves when the log can be written.';
    return `MISCONF Writes are refused, reads go on: ${oneLine(failure.message)} ${remedy}`;
  }
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, ' ');
}
