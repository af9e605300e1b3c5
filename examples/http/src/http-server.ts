import { currentShard } from '@sunstar/runtime';
import { type Listener, type ListenOptions, listen } from '@sunstar/zerocopy-net';
import { HttpConnection } from './http-connection.js';
import { type HttpHandler, type HttpOptions, httpLimits } from './options.js';

/** How often the time limits are looked at, at least. */
const MAX_SWEEP_MS = 1_000;
/** A peer that takes nothing of a response for so long has gone. */
const IDLE_TIMEOUT_MS = 120_000;

/** The clock of `reactor.nowMs`, which stands still while nothing happens, read now. */
function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** An HTTP/1.0 and 1.1 server of one shard; made by {@link serveHttp}. */
export class HttpServer implements AsyncDisposable {
  readonly listener: Listener;
  readonly #sweep: NodeJS.Timeout;

  constructor(listener: Listener, sweep: NodeJS.Timeout) {
    this.listener = listener;
    this.#sweep = sweep;
  }

  /** The port, also when the kernel chose it. */
  get port(): number {
    return this.listener.port;
  }

  /** Accepts no more, lets requests that have begun be answered, and closes. The stop of the shard does the same. */
  close(): Promise<void> {
    clearInterval(this.#sweep);
    return this.listener.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Serves HTTP on the current shard; with several shards each of them calls it with the same port. */
export async function serveHttp(
  options: ListenOptions & HttpOptions,
  handler: HttpHandler,
): Promise<HttpServer> {
  const shard = currentShard();
  const { memory, log, reactor } = shard;
  const limits = httpLimits(
    options,
    (error) => log.error({ err: error }, 'an HTTP handler failed'),
    () => reactor.nowMs,
  );
  const connections = new Set<HttpConnection>();
  const forget = (connection: HttpConnection): void => {
    connections.delete(connection);
  };
  const listener = await listen({ idleTimeoutMs: IDLE_TIMEOUT_MS, ...options }, (connection) => {
    connections.add(new HttpConnection(connection, memory.bytes, handler, limits, forget));
  });
  const sweep = setInterval(
    () => {
      const nowMs = monotonicMs();
      for (const connection of connections) connection.sweep(nowMs);
    },
    Math.min(MAX_SWEEP_MS, limits.keepAliveTimeoutMs, limits.requestTimeoutMs),
  ).unref();
  const server = new HttpServer(listener, sweep);
  shard.onStop(() => server.close());
  return server;
}
