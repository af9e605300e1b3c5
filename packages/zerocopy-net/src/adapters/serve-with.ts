import { Server as HttpServer } from 'node:http';
import type { Server } from 'node:net';
import { type ListenOptions, listen } from '../listen.js';
import type { Listener } from '../listener.js';
import { toDuplex } from './to-duplex.js';

/**
 * Listens on the current shard and hands every connection to a server of Node that has not been told to listen
 * itself: `http.createServer(…)`, `https.createServer(…)`, `tls.createServer(…)`, `net.createServer(…)`. With several
 * shards call it on each, with a server of its own: the kernel spreads the connections.
 *
 * The server's time limits (`headersTimeout`, `requestTimeout`, `keepAliveTimeout` …) hold as usual. Its `close()`
 * would wait for a listening socket that it does not have: close the returned listener.
 *
 * @throws SunstarError what {@link listen} throws.
 */
export async function serveWith(server: Server, options: ListenOptions): Promise<Listener> {
  const listener = await listen(options, (connection) => {
    // A request may come after the peer's FIN only in one direction; node:http decides when to end.
    server.emit('connection', toDuplex(connection));
  });
  // Where node:http starts to look for requests that take too long.
  if (server instanceof HttpServer) server.emit('listening');
  return listener;
}
