import { native } from '@sunstar/native';
import { systemError } from '@sunstar/runtime';
import { invalidOption } from './errors.js';
import { integerOption } from './options.js';

const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_KEEPALIVE = 9;
const SO_BUSY_POLL = 46;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;

/** How the kernel finds out that an idle peer is gone. */
export interface KeepAliveOptions {
  /** Idle time before the first probe, in seconds. @defaultValue 60; 1 to 32767 */
  readonly idleSeconds?: number;
  /** Time between probes, in seconds. @defaultValue 10; 1 to 32767 */
  readonly intervalSeconds?: number;
  /** Unanswered probes after which the connection has failed. @defaultValue 6; 1 to 127 */
  readonly probes?: number;
}

/** What the kernel does for a socket; every one is off, or the system's default, without it. */
export interface SocketOptions {
  /** Probe idle peers; true takes the defaults of {@link KeepAliveOptions}. @defaultValue false */
  readonly keepAlive?: boolean | KeepAliveOptions | undefined;
  /**
   * Fail the connection when the peer has not acknowledged output for so long, in milliseconds (TCP_USER_TIMEOUT).
   * @defaultValue the system's, some minutes; 1 ms to 1 day
   */
  readonly userTimeoutMs?: number | undefined;
  /** The kernel's buffer for output (SO_SNDBUF). @defaultValue sized by the kernel; 4 KiB to 1 GiB */
  readonly sendBufferBytes?: number | undefined;
  /** The kernel's buffer for input (SO_RCVBUF). @defaultValue sized by the kernel; 4 KiB to 1 GiB */
  readonly receiveBufferBytes?: number | undefined;
  /**
   * How long the kernel polls the device for input before it sleeps, in microseconds (SO_BUSY_POLL). Raising it
   * needs CAP_NET_ADMIN. @defaultValue the system's, mostly 0; 1 to 1000000
   */
  readonly busyPollUs?: number | undefined;
}

/** {@link SocketOptions} as calls: level, name, value. */
export type SocketSettings = readonly (readonly [level: number, name: number, value: number])[];

/** Checks the options. */
export function socketSettings(options: SocketOptions): SocketSettings {
  const settings: [number, number, number][] = [];
  const { keepAlive = false } = options;
  if (keepAlive !== false) {
    if (keepAlive !== true && (typeof keepAlive !== 'object' || keepAlive === null))
      throw invalidOption('keepAlive', keepAlive, 'true, false or an object');
    const { idleSeconds, intervalSeconds, probes } = keepAlive === true ? {} : keepAlive;
    settings.push(
      [SOL_SOCKET, SO_KEEPALIVE, 1],
      [IPPROTO_TCP, TCP_KEEPIDLE, integerOption('idleSeconds', idleSeconds, 60, 1, 32_767)],
      [IPPROTO_TCP, TCP_KEEPINTVL, integerOption('intervalSeconds', intervalSeconds, 10, 1, 32_767)],
      [IPPROTO_TCP, TCP_KEEPCNT, integerOption('probes', probes, 6, 1, 127)],
    );
  }
  const add = (
    name: keyof SocketOptions & ('userTimeoutMs' | 'sendBufferBytes' | 'receiveBufferBytes' | 'busyPollUs'),
    level: number,
    option: number,
    [min, max]: readonly [number, number],
    scale: number,
  ): void => {
    const value = options[name];
    // The kernel doubles buffer sizes, for its own overhead.
    if (value !== undefined) settings.push([level, option, integerOption(name, value, 0, min, max) / scale]);
  };
  add('userTimeoutMs', IPPROTO_TCP, TCP_USER_TIMEOUT, [1, 86_400_000], 1);
  add('sendBufferBytes', SOL_SOCKET, SO_SNDBUF, [4096, 2 ** 30], 2);
  add('receiveBufferBytes', SOL_SOCKET, SO_RCVBUF, [4096, 2 ** 30], 2);
  add('busyPollUs', SOL_SOCKET, SO_BUSY_POLL, [1, 1_000_000], 1);
  return settings;
}

/** What {@link applySocketOptions} needs to know. */
interface Configured {
  readonly noDelay: boolean;
  readonly socketSettings: SocketSettings;
}

/**
 * Sets the options of a socket: before it connects, because windows are agreed on then; and on a listening socket,
 * because accepted ones inherit all of them.
 *
 * @param isUnix - Leaves out what only TCP has.
 * @throws SystemError when the kernel refuses one.
 */
export function applySocketOptions(fd: number, limits: Configured, isUnix: boolean): void {
  if (!isUnix) set(fd, IPPROTO_TCP, TCP_NODELAY, limits.noDelay ? 1 : 0);
  for (const [level, name, value] of limits.socketSettings) {
    if (!isUnix || level !== IPPROTO_TCP) set(fd, level, name, value);
  }
}

function set(fd: number, level: number, name: number, value: number): void {
  const result = native.setSocketOption(fd, level, name, value);
  if (result < 0) throw systemError('setsockopt', result, `level ${level}, option ${name}, value ${value}`);
}
