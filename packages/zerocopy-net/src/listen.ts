import { currentShard, type ShardContext } from '@sunstar/runtime';
import { AcceptSocket, type AcceptSocketOptions } from './accept-socket.js';
import { listenBalanced } from './balance/listen-balanced.js';
import { type Balance, balanceOption } from './balance/options.js';
import type { Connection } from './connection.js';
import { invalidOption } from './errors.js';
import { Listener, type ListenerConfiguration } from './listener.js';
import { currentNetwork } from './network.js';
import {
  type ConnectionOptions,
  connectionLimits,
  functionOption,
  integerOption,
  socketPath,
} from './options.js';
import { readProxyHeader } from './proxy-protocol/read-header.js';

/** Options of {@link listen}: a port, or a path. */
export interface ListenOptions extends ConnectionOptions {
  /** TCP port; 0 has the kernel choose a free one. 0 to 65535 */
  readonly port?: number;
  /** A numeric IPv4 or IPv6 address of this machine. @defaultValue '127.0.0.1' */
  readonly host?: string;
  /**
   * A Unix socket instead: its path, which is removed when the listener closes, or `@` and a name in the abstract name
   * space. Only one shard can listen on it.
   */
  readonly path?: string;
  /** With an IPv6 host: refuse IPv4 peers. @defaultValue false */
  readonly ipv6Only?: boolean;
  /**
   * Share the port with others that listen on it (SO_REUSEPORT): the kernel spreads new connections over all of
   * them. @defaultValue true when each shard of several listens by itself, or a successor may take over
   */
  readonly reusePort?: boolean;
  /**
   * Which shard serves a new connection. All shards must call `listen` with the same options, and in the same order when
   * the kernel chooses the ports. @defaultValue 'reuseport'
   */
  readonly balance?: Balance;
  /** Which shard accepts for all, unless `balance` is `'reuseport'`. @defaultValue 0 */
  readonly acceptor?: number;
  /** Connections that may wait in the kernel to be accepted. @defaultValue 511; 1 to 65535 */
  readonly backlog?: number;
  /**
   * Open connections of this listener. Beyond it they are accepted and closed: see
   * {@link onRefused}. @defaultValue 10000; 1 to 1000000
   */
  readonly maxConnections?: number;
  /**
   * May write a word to a peer that is refused, which is then closed. At most 64 at a time are answered,
   * the others are reset. @defaultValue all are reset
   */
  readonly onRefused?: (connection: Connection) => void;
  /**
   * Reset a connection on which nothing was received or sent for so long after it was accepted, in
   * milliseconds; 0 is never. @defaultValue 0
   */
  readonly firstByteTimeoutMs?: number;
  /**
   * Every connection begins with a PROXY protocol header, version 1 or 2, which a load balancer in front of the
   * listener sends: `remoteAddress` and the others are then those of its client. A connection without one is reset.
   * Whoever can connect can claim any address, so let only the balancer. @defaultValue false
   */
  readonly proxyProtocol?: boolean;
  /** How long the header may take, in milliseconds. @defaultValue 5000; 1 ms to 1 h */
  readonly proxyHeaderTimeoutMs?: number;
}

/**
 * Serves one accepted connection: sets `connection.receiver`, or reads and writes with promises. When a
 * promise is returned, the connection is closed after it resolved, unless a receiver was set. An error
 * resets the connection and is logged; the listener goes on.
 */
export type ConnectionHandler = (connection: Connection) => void | Promise<void>;

/**
 * Accepts TCP or Unix connections on the current shard; with several shards each one listens on the same port, or one
 * accepts for all (see {@link ListenOptions.balance}).
 * Stops with the shard.
 *
 * @throws SunstarError SUNSTAR_EADDRINUSE, SUNSTAR_EACCES, SUNSTAR_EADDRNOTAVAIL, SUNSTAR_INVALID_OPTION,
 * SUNSTAR_NOT_ATTACHED, SUNSTAR_ALREADY_LISTENING, SUNSTAR_NO_ACCEPTOR, SUNSTAR_SERVICE_TIMEOUT
 */
export async function listen(options: ListenOptions, handler: ConnectionHandler): Promise<Listener> {
  const shard = currentShard();
  const { path } = options;
  functionOption({ handler }, 'handler');
  if (options.onRefused !== undefined) functionOption(options, 'onRefused');
  if (path !== undefined && (options.port !== undefined || options.host !== undefined))
    throw invalidOption('path', path, 'given without host and port');
  if (path === undefined && options.port === undefined)
    throw invalidOption('port', options.port, 'a whole number from 0 to 65535, unless there is a path');
  const proxyHeaderTimeoutMs = integerOption(
    'proxyHeaderTimeoutMs',
    options.proxyHeaderTimeoutMs,
    5000,
    1,
    3_600_000,
  );
  const serve = options.proxyProtocol === true ? behindProxy(handler, proxyHeaderTimeoutMs) : handler;
  const balance = balanceOption(options.balance);
  if (balance === 'client-address' && (path !== undefined || options.proxyProtocol === true))
    throw invalidOption(
      'balance',
      balance,
      'another one with a path or a PROXY protocol header: those hide the client',
    );
  const { listeners, count } = shard;
  const unixPath = path === undefined ? null : socketPath(path);
  const limits = connectionLimits(options, options.firstByteTimeoutMs);
  const isShared = balance !== 'reuseport' && count > 1;
  const socket: Omit<AcceptSocketOptions, 'inheritedFd'> = {
    path: unixPath,
    host: options.host ?? '127.0.0.1',
    port: integerOption('port', options.port, 0, 0, 65_535),
    ipv6Only: options.ipv6Only ?? false,
    reusePort: options.reusePort ?? ((count > 1 && !isShared) || listeners.areHandedOver),
    backlog: integerOption('backlog', options.backlog, 511, 1, 65_535),
    limits,
    beforeClose: (fd) => listeners.withdraw(fd),
  };
  const configuration: ListenerConfiguration = {
    maxConnections: integerOption('maxConnections', options.maxConnections, 10_000, 1, 1_000_000),
    onRefused: options.onRefused ?? null,
    limits,
  };
  const acceptor = integerOption('acceptor', options.acceptor, 0, 0, count - 1);
  const address = unixPath === null ? socket.host : `unix:${unixPath}`;
  const onOpen = (accepting: AcceptSocket): void => {
    const { fd, port } = accepting;
    listeners.offer({ fd, host: address, port: unixPath === null ? port : 0 }, () => accepting.lookAgain());
  };
  const network = currentNetwork();
  // The process before may have had more shards: connections wait in each of its sockets.
  const inherited = listeners.claim(address, socket.port);
  if (isShared) {
    const listener = await listenBalanced({
      shard,
      network,
      balance,
      acceptor,
      address,
      configuration,
      handler: serve,
      socket,
      inherited,
      onOpen,
    });
    try {
      endWithShard(shard, listener);
    } catch (error) {
      // The shard was stopped meanwhile.
      await listener.close({ deadlineMs: 0 });
      throw error;
    }
    return listener;
  }
  const open = (inheritedFd: number | null): Listener => {
    const listener = new Listener(network, configuration, serve, (made) => {
      const accepting = new AcceptSocket(network, { ...socket, inheritedFd }, (fd) => made.accept(fd));
      onOpen(accepting);
      return accepting;
    });
    endWithShard(shard, listener);
    return listener;
  };
  const [first, ...others] = inherited;
  const listener = open(first ?? null);
  for (const fd of others) listener.addCompanion(open(fd));
  return listener;
}

function endWithShard(shard: ShardContext, listener: Listener): void {
  // All shards stop accepting, and finish what has begun, before any of them stops a service.
  if (!shard.stopping) {
    const forgetDrain = shard.onDrain(async (signal, reason) => {
      if (reason === 'handOver') await listener.finish(signal);
      await listener.close();
    });
    listener.afterClose(forgetDrain);
  }
  listener.afterClose(shard.onStop(() => listener.close()));
}

/** The handler, called when the header has come. */
function behindProxy(handler: ConnectionHandler, timeoutMs: number): ConnectionHandler {
  return async (connection) => {
    const addresses = await readProxyHeader(connection, timeoutMs);
    if (addresses !== null) connection.setProxied(addresses);
    const served = handler(connection);
    // Without a promise of the handler's, the connection stays open until somebody closes it.
    await (served instanceof Promise ? served : connection.closed);
  };
}
