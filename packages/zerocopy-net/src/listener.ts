import { SunstarError } from '@sunstar/runtime';
import type { ConnectionSource } from './accept-socket.js';
import { Connection } from './connection.js';
import type { ConnectionHandler } from './listen.js';
import type { Network } from './network.js';
import { type ConnectionLimits, integerOption } from './options.js';
import { type ConnectionStats, newConnectionStats } from './stats.js';

/** Refused connections that are being answered; more are reset. */
const MAX_ANSWERED_REFUSALS = 64;
/** How long a refused peer may take to read its answer. */
const REFUSAL_TIMEOUT_MS = 1000;

/** What a listener does with its connections, checked. */
export interface ListenerConfiguration {
  readonly maxConnections: number;
  readonly onRefused: ((connection: Connection) => void) | null;
  readonly limits: ConnectionLimits;
}

/** Options of {@link Listener.close}. */
export interface CloseListenerOptions {
  /** How long connections may take to end, in milliseconds; then they are reset. @defaultValue 5000 */
  readonly deadlineMs?: number;
}

/**
 * The connections of one shard that came from one address. Made by `listen`.
 */
export class Listener implements AsyncDisposable {
  readonly #network: Network;
  readonly #configuration: ListenerConfiguration;
  readonly #refusalLimits: ConnectionLimits;
  readonly #handler: ConnectionHandler;
  readonly #source: ConnectionSource;
  readonly #connections = new Set<Connection>();
  readonly #refusals = new Set<Connection>();
  readonly #companions: Listener[] = [];
  readonly #stats: ConnectionStats = newConnectionStats();
  /** What is accepted nevertheless is refused. */
  #isClosing = false;
  #isHandedOver = false;
  #closed: Promise<void> | null = null;
  readonly #afterClose: (() => void)[] = [];

  /**
   * Use `listen`.
   *
   * @param open - Makes the source, which calls `accept()` with what it brings.
   */
  constructor(
    network: Network,
    configuration: ListenerConfiguration,
    handler: ConnectionHandler,
    open: (listener: Listener) => ConnectionSource,
  ) {
    this.#network = network;
    this.#configuration = configuration;
    this.#refusalLimits = { ...configuration.limits, closeTimeoutMs: REFUSAL_TIMEOUT_MS, idleTimeoutMs: 0 };
    this.#handler = handler;
    this.#source = open(this);
    network.addStats(this.#stats);
  }

  /** The port, also when the kernel chose it; 0 of a Unix socket. */
  get port(): number {
    return this.#source.port;
  }

  /** The address, as the kernel writes it; of a Unix socket its path, or @ and its name. */
  get address(): string {
    return this.#source.address;
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
    ]).then(() => {
      for (const task of this.#afterClose) task();
    });
    return this.#closed;
  }

  /** @internal Has a task run when it is closed. */
  afterClose(task: () => void): void {
    this.#afterClose.push(task);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Another socket on the same address, of the process before: closes with this one. @internal */
  addCompanion(companion: Listener): void {
    this.#companions.push(companion);
  }

  /**
   * Accepts no more, and lets the connections go on: another process accepts in its place.
   *
   * @returns When all connections have ended, or the signal is aborted.
   */
  async finish(signal: AbortSignal): Promise<void> {
    this.#isHandedOver = true;
    await this.#source.stop(this.#isHandedOver);
    const ended = Promise.all([...this.#connections, ...this.#refusals].map(({ closed }) => closed));
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([ended, aborted]);
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#isClosing = true;
    await this.#source.stop(this.#isHandedOver);
    const all = [...this.#connections, ...this.#refusals];
    for (const connection of all) connection.stopInput();
    const timer = setTimeout(() => {
      for (const connection of all) if (!connection.isClosed) connection.reset();
    }, deadlineMs);
    await Promise.all(all.map((connection) => connection.closed));
    clearTimeout(timer);
    this.#network.removeStats(this.#stats);
  }

  /** Serves a connected socket, or refuses it; owns the descriptor. @internal */
  accept(fd: number): void {
    const { maxConnections, limits } = this.#configuration;
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

  /** Another shard serves a connection that came here. @internal */
  gave(): void {
    this.#stats.given++;
  }

  /** A connection ended with the shard that it was given to. @internal */
  lost(): void {
    this.#stats.lost++;
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
