import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { native } from '@sunstar/native';
import { type Completion, IORING_OP, SunstarError, systemError } from '@sunstar/runtime';
import { Connection } from './connection.js';
import { currentNetwork, type Network } from './network.js';
import { type ConnectionLimits, type ConnectionOptions, connectionLimits, integerOption } from './options.js';

/** Options of {@link connect}. */
export interface ConnectOptions extends ConnectionOptions {
  /** TCP port. 1 to 65535 */
  readonly port: number;
  /** An address, or a name that is looked up as the system does (dns.lookup). @defaultValue '127.0.0.1' */
  readonly host?: string;
  /**
   * How long all of it may take: the lookup and the attempts at each address, in milliseconds.
   * @defaultValue 10000; 1 ms to 1 h
   */
  readonly timeoutMs?: number;
  /** Ends the attempt. */
  readonly signal?: AbortSignal;
}

/** Bytes of a `struct sockaddr_in6`, the larger of the two. */
const ADDRESS_BYTES = 28;

/** One attempt: what the ring says, and a way to stop it. */
class Attempt implements Completion {
  readonly promise: Promise<number>;
  #resolve: (result: number) => void = () => {};
  constructor() {
    this.promise = new Promise<number>((resolve) => {
      this.#resolve = resolve;
    });
  }
  complete(result: number): void {
    this.#resolve(result);
  }
}

/**
 * Opens a TCP connection from the current shard. The addresses of a name are tried one after the other.
 *
 * @throws SunstarError SUNSTAR_CONNECT_TIMEOUT, SUNSTAR_HOST_NOT_FOUND, SUNSTAR_CONNECT_ABORTED,
 * SUNSTAR_ECONNREFUSED and other system errors of the last address, SUNSTAR_INVALID_OPTION,
 * SUNSTAR_NOT_ATTACHED
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const host = options.host ?? '127.0.0.1';
  const port = integerOption('port', options.port, 0, 1, 65_535);
  const timeoutMs = integerOption('timeoutMs', options.timeoutMs, 10_000, 1, 3_600_000);
  const limits = connectionLimits(options);
  const network = currentNetwork();
  const { signal } = options;
  const deadline = new Deadline(host, port, timeoutMs, signal);
  network.reactor.ref();
  try {
    let failure: unknown;
    for (const address of await deadline.race(resolveHost(host))) {
      try {
        return await connectTo(network, address, port, limits, deadline);
      } catch (error) {
        if (deadline.expired !== null) throw error;
        failure = error;
      }
    }
    throw failure;
  } finally {
    deadline.clear();
    network.reactor.unref();
  }
}

/** A time limit and an abort signal for several steps. */
class Deadline {
  /** Why it is over, once it is. */
  expired: SunstarError | null = null;
  readonly #timer: NodeJS.Timeout;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #onExpire: (() => void) | null = null;

  constructor(host: string, port: number, timeoutMs: number, signal: AbortSignal | undefined) {
    const where = `${host}:${port}`;
    this.#timer = setTimeout(() => {
      this.#expire(
        new SunstarError(
          'SUNSTAR_CONNECT_TIMEOUT',
          `No connection to ${where} within ${timeoutMs} ms. Check the address and the network, or raise timeoutMs.`,
        ),
      );
    }, timeoutMs);
    this.#signal = signal;
    this.#onAbort = (): void => {
      this.#expire(
        new SunstarError('SUNSTAR_CONNECT_ABORTED', `The connection to ${where} was aborted by its signal.`, {
          cause: signal?.reason,
        }),
      );
    };
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort);
  }

  /** Calls back once when it is over; null forgets the callback. */
  set onExpire(callback: (() => void) | null) {
    this.#onExpire = callback;
    if (this.expired !== null) callback?.();
  }

  /** The promise, or an error when the deadline comes first. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.onExpire = (): void => reject(this.expired ?? new Error('expired'));
      promise.then(resolve, reject);
    }).finally(() => {
      this.onExpire = null;
    });
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #expire(error: SunstarError): void {
    if (this.expired !== null) return;
    this.expired = error;
    this.#onExpire?.();
  }
}

async function resolveHost(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return (await lookup(host, { all: true, order: 'verbatim' })).map((entry) => entry.address);
  } catch (cause) {
    throw new SunstarError(
      'SUNSTAR_HOST_NOT_FOUND',
      `The name '${host}' was not found. Check its spelling, /etc/hosts and the name server.`,
      { cause },
    );
  }
}

async function connectTo(
  network: Network,
  address: string,
  port: number,
  limits: ConnectionLimits,
  deadline: Deadline,
): Promise<Connection> {
  const { reactor, memory } = network;
  const where = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const target = memory.allocate(ADDRESS_BYTES);
  let fd = -1;
  try {
    const length = native.encodeAddress(address, port, memory.bytes.subarray(target, target + ADDRESS_BYTES));
    if (length < 0) throw systemError('connect', length, where);
    fd = native.tcpSocket(isIP(address) === 6 ? 6 : 4);
    if (fd < 0) throw systemError('socket', fd, where);
    reactor.descriptors.own(fd);
    const attempt = new Attempt();
    const id = reactor.submit(attempt, IORING_OP.CONNECT, fd, memory.arena.address + target, 0, length);
    deadline.onExpire = (): void => reactor.cancel(id);
    const result = await attempt.promise;
    deadline.onExpire = null;
    if (deadline.expired !== null) throw deadline.expired;
    if (result < 0) throw systemError('connect', result, where);
  } catch (error) {
    if (fd >= 0) await reactor.closeAndWait(fd);
    throw error;
  } finally {
    memory.free(target);
  }
  if (limits.noDelay) native.setNoDelay(fd, true);
  network.stats.connected++;
  return new Connection(network, fd, limits, network.stats);
}
