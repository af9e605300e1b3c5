import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { inThisGroup, SunstarError } from '@sunstar/runtime';
import { AttemptRace, interleave } from './connect/attempt-race.js';
import { ConnectAttempt, describeTarget, type Target } from './connect/connect-attempt.js';
import { Deadline } from './connect/deadline.js';
import { Connection } from './connection.js';
import { invalidOption } from './errors.js';
import { currentNetwork } from './network.js';
import { type ConnectionOptions, connectionLimits, integerOption, socketPath } from './options.js';

/** The longest name of a host (RFC 1035), with its last dot. */
const MAX_NAME_LENGTH = 254;

/** Options of {@link connect}: a port, or a path. */
export interface ConnectOptions extends ConnectionOptions {
  /** TCP port. 1 to 65535 */
  readonly port?: number;
  /** An address, or a name that is looked up as the system does (dns.lookup). @defaultValue '127.0.0.1' */
  readonly host?: string;
  /** A Unix socket instead: its path, or `@` and a name in the abstract name space. */
  readonly path?: string;
  /**
   * How long all of it may take: the lookup and the attempts at each address, in milliseconds.
   * @defaultValue 10000; 1 ms to 1 h
   */
  readonly timeoutMs?: number;
  /**
   * When a name has several addresses, IPv4 and IPv6 in turns: how long to wait for one before the next is tried
   * beside it, in milliseconds. @defaultValue 250 (RFC 8305); 10 ms to 1 h
   */
  readonly attemptDelayMs?: number;
  /** Ends the attempt. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a TCP or Unix connection from the current shard. It belongs to the scheduling group that calls this. Of the addresses of a name, the first to answer wins.
 *
 * @throws SunstarError SUNSTAR_CONNECT_TIMEOUT, SUNSTAR_HOST_NOT_FOUND, SUNSTAR_CONNECT_ABORTED,
 * SUNSTAR_ECONNREFUSED and other system errors of the last address, SUNSTAR_INVALID_OPTION,
 * SUNSTAR_NOT_ATTACHED
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const { path, host = '127.0.0.1', signal } = options;
  if (path !== undefined && (options.port !== undefined || options.host !== undefined))
    throw invalidOption('path', path, 'given without host and port');
  if (path === undefined && options.port === undefined)
    throw invalidOption('port', options.port, 'a whole number from 1 to 65535, unless there is a path');
  const port = path === undefined ? integerOption('port', options.port, 0, 1, 65_535) : -1;
  if (!isName(host))
    throw invalidOption('host', host, `a name or an address of 1 to ${MAX_NAME_LENGTH} characters`);
  const unixPath = path === undefined ? null : socketPath(path);
  const timeoutMs = integerOption('timeoutMs', options.timeoutMs, 10_000, 1, 3_600_000);
  const attemptDelayMs = integerOption('attemptDelayMs', options.attemptDelayMs, 250, 10, 3_600_000);
  const limits = connectionLimits(options);
  const network = currentNetwork();
  using deadline = new Deadline(describeTarget({ address: path ?? host, port }), timeoutMs, signal);
  network.reactor.ref();
  try {
    const targets: readonly Target[] =
      unixPath === null
        ? interleave(await inThisGroup(deadline.race(resolveHost(host)))).map((address) => ({
            address,
            port,
          }))
        : [{ address: unixPath, port }];
    if (deadline.expired !== null) throw deadline.expired;
    const race = new AttemptRace<Target, number>(
      targets,
      (target) => new ConnectAttempt(network, target, limits),
      attemptDelayMs,
      (late) => network.reactor.close(late),
    );
    deadline.onExpire = (error): void => race.abort(error);
    const fd = await inThisGroup(race.run());
    network.stats.connected++;
    return new Connection(network, fd, limits, network.stats);
  } finally {
    network.reactor.unref();
  }
}

/** Whether it can be looked up: the system's function would take a zero byte for the end. */
function isName(host: unknown): boolean {
  return (
    typeof host === 'string' && host.length > 0 && host.length <= MAX_NAME_LENGTH && !host.includes('\0')
  );
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
