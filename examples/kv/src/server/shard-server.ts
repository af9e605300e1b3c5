import { IOBuf } from '@sunstar/iobuf';
import { type Sharded, SunstarError } from '@sunstar/runtime';
import { type Connection, type Listener, listen } from '@sunstar/zerocopy-net';
import { ReplyWriter } from '../resp/index.js';
import { ClientConnection } from './client-connection.js';
import type { KvService } from './kv-service.js';
import { PeerExecutor } from './peer-executor.js';
import { PeerLink } from './peer-link.js';
import type { ShardCore } from './shard-core.js';

const SWEEP_MS = 1000;
const MAINTENANCE_MS = 100;
/** About a millisecond of work. */
const MAINTENANCE_BUDGET = 10_000;
/** How long a client may take to see its last replies after QUIT, or when the server stops. */
const CLOSE_TIMEOUT_MS = 5000;
/** Refused clients that are told why at the same time; more are reset. */
const REFUSED_MAX = 64;
/** A single reply may be larger than what clients are read beyond. */
const OUTPUT_BYTES_MAX = 2 ** 32;

/** One shard's part of the server: its clients, and its links to the other shards. */
export class ShardServer {
  readonly core: ShardCore;
  readonly executor: PeerExecutor;
  /** Open connections of all shards. */
  readonly #openClients: Int32Array;
  readonly #writer: ReplyWriter;
  readonly #timers: NodeJS.Timeout[] = [];
  #links: PeerLink[] = [];
  #listener: Listener | null = null;
  #serial = 0;
  #refusing = 0;

  constructor(core: ShardCore, openClients: Int32Array) {
    this.core = core;
    this.executor = new PeerExecutor(core);
    this.#openClients = openClients;
    this.#writer = new ReplyWriter(core.memory);
  }

  /** The port that the clients connect to. */
  get port(): number {
    return this.#listener?.port ?? this.core.options.port;
  }

  /** Accepts clients. */
  async open(service: Sharded<KvService>): Promise<void> {
    const { core } = this;
    const { host, port, maxClients, maxOutputBytes } = core.options;
    this.#links = Array.from(
      { length: core.shard.count },
      (_, shard) => new PeerLink(core.memory, service.on(shard), (task) => core.reactor.defer(task)),
    );
    this.#timers.push(
      setInterval(() => this.#sweep(), SWEEP_MS),
      setInterval(() => this.#maintain(), MAINTENANCE_MS),
    );
    this.#listener = await listen(
      {
        host,
        port,
        maxConnections: maxClients,
        maxOutputBytes: OUTPUT_BYTES_MAX,
        outputHighWaterBytes: maxOutputBytes,
        closeTimeoutMs: CLOSE_TIMEOUT_MS,
        onRefused: (connection) => {
          core.stats.connectionsReceived++;
          this.#sayFull(connection);
        },
      },
      (connection) => this.#accept(connection),
    );
  }

  /** Accepts no more clients, and lets those that are there finish what they have sent. */
  async close(): Promise<void> {
    await this.#listener?.close();
    for (const timer of this.#timers) clearInterval(timer);
  }

  linkTo(shard: number): PeerLink {
    const link = this.#links[shard];
    if (link === undefined)
      throw new SunstarError('SUNSTAR_INVARIANT', `There is no link to shard ${shard}.`);
    return link;
  }

  /** A command in RESP; the caller disposes it. */
  encode(argv: Uint32Array, argc: number): IOBuf {
    const command = new IOBuf(this.core.memory);
    try {
      this.#writer.begin(command, 2);
      this.#writer.array(argc);
      for (let index = 0; index < argc; index++) this.#writer.bulk(argv[2 * index], argv[2 * index + 1]);
      this.#writer.flush();
      return command;
    } catch (error) {
      command[Symbol.dispose]();
      throw error;
    }
  }

  clientClosed(client: ClientConnection): void {
    this.core.clients.delete(client);
    Atomics.sub(this.#openClients, 0, 1);
  }

  #accept(connection: Connection): void {
    const { core } = this;
    core.stats.connectionsReceived++;
    if (Atomics.add(this.#openClients, 0, 1) >= core.options.maxClients) {
      Atomics.sub(this.#openClients, 0, 1);
      this.#refuse(connection);
      return;
    }
    const client = new ClientConnection(
      this,
      connection,
      1 + core.shard.id + core.shard.count * this.#serial++,
    );
    core.clients.add(client);
    connection.receiver = client;
  }

  /** All shards together have too many; the listener counts only its own. */
  #refuse(connection: Connection): void {
    if (this.#refusing >= REFUSED_MAX) {
      this.core.stats.rejectedConnections++;
      connection.reset();
      return;
    }
    this.#refusing++;
    this.#sayFull(connection);
    connection.flush();
    const forget = (): void => {
      this.#refusing--;
    };
    connection.close().then(forget, forget);
  }

  #sayFull(connection: Connection): void {
    this.core.stats.rejectedConnections++;
    connection.output.append('-ERR max number of clients reached\r\n');
  }

  #sweep(): void {
    const { nowMs } = this.core.reactor;
    for (const client of this.core.clients) client.sweep(nowMs);
  }

  #maintain(): void {
    this.core.adjustClock();
    this.core.beginBatch();
    this.core.store.maintain(MAINTENANCE_BUDGET);
  }
}
