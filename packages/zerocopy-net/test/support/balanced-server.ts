import net from 'node:net';
import { pathToFileURL } from 'node:url';
import { BroadcastChannel } from 'node:worker_threads';
import { Runtime, type RuntimeOptions } from '@sunstar/runtime';
import type { ListenOptions, NetworkStats } from '@sunstar/zerocopy-net';
import { fixture } from './child.ts';
import { until } from './peer.ts';

/** What a shard says of itself. */
export interface Who {
  readonly shard: number;
  readonly generation: number;
  readonly owner: number;
  readonly port: number;
  readonly address: string;
}

/** A client that asks one thing after the other. */
export class Client {
  readonly socket: net.Socket;
  readonly #lines: string[] = [];
  #text = '';
  #waiting: (() => void) | undefined;

  constructor(options: net.NetConnectOpts) {
    this.socket = net.connect(options);
    this.socket.on('data', (data: Buffer) => {
      this.#text += data.toString();
      const lines = this.#text.split('\n');
      this.#text = lines.pop() ?? '';
      this.#lines.push(...lines);
      this.#waiting?.();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.#waiting?.());
  }

  async ask<T = Who>(command: string): Promise<T> {
    this.socket.write(`${command}\n`);
    while (this.#lines.length === 0) {
      if (this.socket.destroyed) throw new Error('the connection has ended');
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return JSON.parse(this.#lines.shift() as string) as T;
  }
}

let channels = 0;

/** Shards that share a listener. */
export class Server implements AsyncDisposable {
  readonly started: Who[] = [];
  readonly clients: Client[] = [];
  readonly crashes: string[] = [];
  #runtime: Runtime | undefined;
  #channel: BroadcastChannel | undefined;

  static async start(
    shards: number,
    listening: Partial<ListenOptions> & { acceptor?: number; gate?: SharedArrayBuffer },
  ): Promise<Server> {
    const server = new Server();
    const channel = `balanced ${process.pid} ${channels++}`;
    server.#channel = new BroadcastChannel(channel);
    server.#channel.onmessage = (event) => server.started.push((event as { data: Who }).data);
    const data = { channel, ...(listening.path === undefined ? { port: 0 } : {}), ...listening };
    const options: RuntimeOptions = {
      shards,
      memory: '64MiB',
      entry: pathToFileURL(fixture('balanced-shard.mjs')),
      data,
      log: 'silent',
      onCrash: (error) => {
        server.crashes.push(String(error.cause ?? error));
        return 'reload';
      },
      reload: { backoffMs: 1 },
    };
    server.#runtime = await Runtime.start(options);
    await until(() => server.started.length === shards);
    return server;
  }

  connect(options: Partial<net.TcpNetConnectOpts> = {}): Client {
    const client = new Client({ port: this.started[0].port, host: '127.0.0.1', ...options });
    this.clients.push(client);
    return client;
  }

  /** Connects until a shard answers that fulfils the condition. */
  async connectTo(wanted: (who: Who) => boolean): Promise<Client> {
    for (;;) {
      const client = this.connect();
      const who = await client.ask('who').catch(() => undefined);
      if (who !== undefined && wanted(who)) return client;
      client.socket.destroy();
    }
  }

  async statsOf(shardId: number): Promise<NetworkStats> {
    const client = await this.connectTo(({ shard }) => shard === shardId);
    const stats = await client.ask<NetworkStats>('stats');
    client.socket.destroy();
    return stats;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.clients) socket.destroy();
    await this.#runtime?.stop();
    this.#channel?.close();
  }
}
