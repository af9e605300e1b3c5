import { rmSync } from 'node:fs';
import { native } from '@sunstar/native';
import {
  type Completion,
  callIn,
  currentGroupId,
  ERRNO,
  IORING_CQE_F,
  IORING_OP,
  IORING_RECVSEND,
  SunstarError,
  systemError,
} from '@sunstar/runtime';
import { badPath, describePath } from './connect/connect-attempt.js';
import { Connection } from './connection.js';
import { invalidOption } from './errors.js';
import type { ConnectionHandler } from './listen.js';
import type { Network } from './network.js';
import { type ConnectionLimits, integerOption } from './options.js';
import { applySocketOptions } from './socket-options.js';
import { type ConnectionStats, newConnectionStats } from './stats.js';

const SOCK_CLOEXEC = 0o2000000;
/** Refused connections that are being answered; more are reset. */
const MAX_ANSWERED_REFUSALS = 64;
/** How long a refused peer may take to read its answer. */
const REFUSAL_TIMEOUT_MS = 1000;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;

/** The options of a listener, checked. */
export interface ListenerConfiguration {
  /** Of a Unix socket, in the kernel's form; null: TCP. */
  readonly path: string | null;
  readonly host: string;
  readonly port: number;
  readonly ipv6Only: boolean;
  readonly reusePort: boolean;
  readonly backlog: number;
  readonly maxConnections: number;
  readonly onRefused: ((connection: Connection) => void) | null;
  readonly limits: ConnectionLimits;
  /** A socket that listens already, of the process before; null for a new one. */
  readonly inheritedFd: number | null;
  /** Called with the descriptor before it is closed. */
  readonly beforeClose: (fd: number) => void;
}

/** Options of {@link Listener.close}. */
export interface CloseListenerOptions {
  /** How long connections may take to end, in milliseconds; then they are reset. @defaultValue 5000 */
  readonly deadlineMs?: number;
}

/**
 * A listening socket of one shard: a multishot accept, and the connections that came of it.
 * Made by `listen`.
 */
export class Listener implements Completion, AsyncDisposable {
  /** The port, also when the kernel chose it; 0 of a Unix socket. */
  readonly port: number;
  /** The address, as the kernel writes it; of a Unix socket its path, or @ and its name. */
  readonly address: string;

  readonly #network: Network;
  readonly #configuration: ListenerConfiguration;
  readonly #refusalLimits: ConnectionLimits;
  readonly #handler: ConnectionHandler;
  readonly #fd: number;
  readonly #connections = new Set<Connection>();
  readonly #refusals = new Set<Connection>();
  readonly #companions: Listener[] = [];
  readonly #stats: ConnectionStats = newConnectionStats();
  #operationId = 0;
  #isArmed = false;
  /** No further accept is armed. */
  #isEnding = false;
  /** What is accepted nevertheless is refused. */
  #isClosing = false;
  #accepting: Promise<void> | null = null;
  #isHandedOver = false;
  #retryMs = FIRST_RETRY_MS;
  #retryTimer: NodeJS.Timeout | null = null;
  #acceptEnded: (() => void) | null = null;
  #closingGroupId = 0;
  #closed: Promise<void> | null = null;

  /** Use `listen`. */
  constructor(network: Network, configuration: ListenerConfiguration, handler: ConnectionHandler) {
    this.#network = network;
    this.#configuration = configuration;
    this.#refusalLimits = { ...configuration.limits, closeTimeoutMs: REFUSAL_TIMEOUT_MS, idleTimeoutMs: 0 };
    this.#handler = handler;
    const { path, limits, inheritedFd } = configuration;
    this.#fd = inheritedFd ?? openListener(configuration);
    network.reactor.descriptors.own(this.#fd);
    try {
      applySocketOptions(this.#fd, limits, path !== null);
    } catch (error) {
      network.reactor.close(this.#fd);
      throw error;
    }
    const name = native.socketName(this.#fd);
    this.port = typeof name === 'number' ? configuration.port : name.port;
    this.address = typeof name === 'number' ? configuration.host : describePath(name.address);
    network.reactor.ref();
    network.addStats(this.#stats);
    this.#arm();
  }

  /** The open connections; a live view. */
  get connections(): ReadonlySet<Connection> {
    return this.#connections;
  }

  /** The counters of this listener and its connections; live, do not change them. */
  get stats(): Readonly<ConnectionStats> {
    return this.#stats;
  }

  /**
   * Accepts no more, lets every connection see the end of its input so that its handler can finish what
   * it has begun, and resets what is left after the deadline.
   *
   * @returns When all connections and the listening socket are closed. Later calls return the same.
   */
  close(options: CloseListenerOptions = {}): Promise<void> {
    const deadlineMs = integerOption('deadlineMs', options.deadlineMs, 5000, 0, 3_600_000);
    this.#closed ??= Promise.all([
      this.#close(deadlineMs),
      ...this.#companions.map((companion) => companion.close(options)),
    ]).then(() => {});
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Another socket on the same address, of the process before: closes with this one. @internal */
  addCompanion(companion: Listener): void {
    this.#companions.push(companion);
  }

  /** The descriptor of the socket, for a process that takes over. @internal */
  get descriptor(): number {
    return this.#fd;
  }

  /**
   * Accepts no more, and lets the connections go on: another process accepts in its place.
   *
   * @returns When all connections have ended, or the signal is aborted.
   */
  async finish(signal: AbortSignal): Promise<void> {
    this.#isHandedOver = true;
    await this.#stopAccepting();
    const ended = Promise.all([...this.#connections, ...this.#refusals].map(({ closed }) => closed));
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([ended, aborted]);
  }

  #stopAccepting(): Promise<void> {
    this.#accepting ??= this.#endAccepting();
    return this.#accepting;
  }

  async #endAccepting(): Promise<void> {
    this.#isEnding = true;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    if (this.#isArmed) {
      this.#network.reactor.cancel(this.#operationId);
      await new Promise<void>((resolve) => {
        this.#acceptEnded = resolve;
        this.#closingGroupId = currentGroupId();
      });
    }
    this.#configuration.beforeClose(this.#fd);
    await this.#network.reactor.closeAndWait(this.#fd);
    const { path } = this.#configuration;
    // A successor listens on the same socket, which is found by its path.
    if (path !== null && !path.startsWith('\0') && !this.#isHandedOver) rmSync(path, { force: true });
    this.#network.reactor.unref();
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#isClosing = true;
    await this.#stopAccepting();
    const all = [...this.#connections, ...this.#refusals];
    for (const connection of all) connection.stopInput();
    const timer = setTimeout(() => {
      for (const connection of all) if (!connection.isClosed) connection.reset();
    }, deadlineMs);
    await Promise.all(all.map((connection) => connection.closed));
    clearTimeout(timer);
    this.#network.removeStats(this.#stats);
  }

  #arm(): void {
    this.#isArmed = true;
    this.#operationId = this.#network.reactor.submit(
      this,
      IORING_OP.ACCEPT,
      this.#fd,
      0,
      0,
      0,
      SOCK_CLOEXEC,
      0,
      IORING_RECVSEND.ACCEPT_MULTISHOT,
    );
  }

  /** A connection was accepted, or the accept ended. */
  complete(result: number, flags: number): void {
    if ((flags & IORING_CQE_F.MORE) === 0) this.#isArmed = false;
    if (result >= 0) this.#accepted(result);
    if (this.#isArmed) return;
    if (this.#isEnding) {
      if (this.#acceptEnded !== null) callIn(this.#closingGroupId, this.#acceptEnded);
    } else if (result >= 0) this.#arm();
    else this.#acceptFailed(result);
  }

  #acceptFailed(result: number): void {
    switch (-result) {
      case ERRNO.ECONNABORTED:
      case ERRNO.EPROTO:
      case ERRNO.EINTR:
      case ERRNO.EAGAIN:
      case ERRNO.ECANCELED:
        // The one connection is gone; the listener is not.
        this.#arm();
        return;
      default:
        // Most likely descriptors (EMFILE, ENFILE) or memory: trying at once would spin.
        if (this.#retryMs === FIRST_RETRY_MS) {
          this.#network.log.warn(
            { err: systemError('accept', result), port: this.port, open: this.#stats.open },
            'accepting paused: the waiting connections stay in the backlog',
          );
        }
        this.#retryTimer = setTimeout(() => {
          this.#retryTimer = null;
          this.#arm();
        }, this.#retryMs);
        this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
    }
  }

  #accepted(fd: number): void {
    const { maxConnections, limits } = this.#configuration;
    if (this.#retryMs !== FIRST_RETRY_MS) {
      this.#retryMs = FIRST_RETRY_MS;
      this.#network.log.info({ port: this.port }, 'accepting again');
    }
    if (this.#connections.size >= maxConnections || this.#isClosing) {
      this.#refuse(fd);
      return;
    }
    this.#stats.accepted++;
    const connection = new Connection(this.#network, fd, limits, this.#stats);
    this.#connections.add(connection);
    this.#forgetWhenClosed(connection, this.#connections);
    try {
      const served = this.#handler(connection);
      if (served instanceof Promise) this.#serve(connection, served);
    } catch (error) {
      connection.handlerFailed(error);
    }
  }

  #serve(connection: Connection, served: Promise<void>): void {
    served.then(
      () => {
        if (connection.receiver === null) return connection.close();
        return undefined;
      },
      (error: unknown) => {
        // That the peer went away, or that we closed, is no failure of the handler.
        if (error === connection.error) return;
        if (
          error instanceof SunstarError &&
          error.code === 'SUNSTAR_CONNECTION_CLOSED' &&
          !connection.isWritable
        )
          return;
        connection.handlerFailed(error);
      },
    );
  }

  #refuse(fd: number): void {
    this.#stats.refused++;
    const { onRefused } = this.#configuration;
    const connection = new Connection(this.#network, fd, this.#refusalLimits, this.#stats);
    if (onRefused === null || this.#refusals.size >= MAX_ANSWERED_REFUSALS || this.#isClosing) {
      connection.reset();
      return;
    }
    this.#refusals.add(connection);
    this.#forgetWhenClosed(connection, this.#refusals);
    try {
      onRefused(connection);
      connection.flush();
      void connection.close();
    } catch (error) {
      connection.handlerFailed(error);
    }
  }

  #forgetWhenClosed(connection: Connection, set: Set<Connection>): void {
    void connection.closed.then(() => set.delete(connection));
  }
}

function openListener(configuration: ListenerConfiguration): number {
  const { path, host, port, reusePort, backlog, ipv6Only } = configuration;
  if (path !== null) {
    const fd = native.unixListen(path, backlog);
    if (fd === -ERRNO.EINVAL) throw badPath(path);
    if (fd < 0) throw systemError('listen', fd, describePath(path));
    return fd;
  }
  const fd = native.tcpListen(host, port, reusePort, backlog, ipv6Only);
  if (fd >= 0) return fd;
  if (-fd === ERRNO.EINVAL) throw invalidOption('host', host, 'a numeric IPv4 or IPv6 address');
  throw systemError('listen', fd, `${host.includes(':') ? `[${host}]` : host}:${port}`);
}
