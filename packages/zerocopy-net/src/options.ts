import { invalidOption } from './errors.js';
import { type SocketOptions, type SocketSettings, socketSettings } from './socket-options.js';
import {
  DEFAULT_ZERO_COPY_THRESHOLD_BYTES,
  type ZeroCopyChoice,
  zeroCopyChoice,
} from './zero-copy/options.js';

/** What holds for one connection, accepted or outgoing. */
export interface ConnectionOptions extends SocketOptions {
  /** Send small messages at once instead of waiting for an acknowledgement (TCP_NODELAY). @defaultValue true */
  readonly noDelay?: boolean | undefined;
  /**
   * Close the connection when nothing was received or sent for this long, in milliseconds; 0 is never.
   * Checked four times per period, but not more often than every 25 ms. @defaultValue 0
   */
  readonly idleTimeoutMs?: number | undefined;
  /**
   * Close the connection when one side has ended its output (the peer, or this one with end()), and nothing was
   * received or sent for this long since, in milliseconds; 0 is never. @defaultValue 60000; up to 30 days
   */
  readonly halfOpenTimeoutMs?: number | undefined;
  /**
   * How much output may wait for a peer that reads too slowly. Beyond it the connection is reset:
   * memory is bounded whatever the peer does. @defaultValue 67108864 (64 MiB); 1 KiB to 4 GiB
   */
  readonly maxOutputBytes?: number | undefined;
  /**
   * write() resolves, and onDrain is called, only when less than this is waiting (onDrain: less
   * than half of it). @defaultValue 262144 (256 KiB); at most maxOutputBytes
   */
  readonly outputHighWaterBytes?: number | undefined;
  /**
   * How much input is buffered for read(), before the connection stops receiving. One read may
   * need, and then gets, more. @defaultValue 262144 (256 KiB); 1 byte to 1 GiB
   */
  readonly readAheadBytes?: number | undefined;
  /**
   * How long close() may take to send what is waiting and to see the peer's end, in milliseconds;
   * then the connection is closed by force. @defaultValue 5000; 1 ms to 1 h
   */
  readonly closeTimeoutMs?: number | undefined;
  /** Whether large pieces are sent without a copy. @defaultValue 'auto' */
  readonly zeroCopy?: ZeroCopyChoice | undefined;
  /**
   * A send leaves without a copy when it has at least so many bytes in pieces (fragments of an `IOBuf`) of at least
   * an eighth of it. @defaultValue 32768 (32 KiB); 1 byte to 128 KiB. 10240 is where others draw the line.
   */
  readonly zeroCopyThresholdBytes?: number | undefined;
}

/** {@link ConnectionOptions} with every default filled in. */
export interface ConnectionLimits {
  readonly noDelay: boolean;
  readonly idleTimeoutMs: number;
  readonly halfOpenTimeoutMs: number;
  /** 0 for outgoing connections. */
  readonly firstByteTimeoutMs: number;
  readonly maxOutputBytes: number;
  readonly outputHighWaterBytes: number;
  readonly readAheadBytes: number;
  readonly closeTimeoutMs: number;
  readonly socketSettings: SocketSettings;
  readonly zeroCopy: ZeroCopyChoice;
  /** Infinity when zero copy is not to be considered at all. */
  readonly zeroCopyThresholdBytes: number;
}

/** A peer that ended and waits for an answer gets it, but one that is gone keeps nothing for ever. */
const DEFAULT_HALF_OPEN_TIMEOUT_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Checks an option that is a whole number. */
export function integerOption(
  name: string,
  value: number | undefined,
  defaultValue: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return defaultValue;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalidOption(name, value, `a whole number from ${min} to ${max}`);
  }
  return value;
}

/** Checks what is to be called later: then it would be too late to say so. */
export function functionOption(options: object | null | undefined, name: string): void {
  const value: unknown = options ? Reflect.get(options, name) : undefined;
  if (typeof value !== 'function') throw invalidOption(name, value, 'a function');
}

/** The kernel's form of a path: an abstract name, written with @, begins with a zero byte. */
export function socketPath(path: string): string {
  if (typeof path !== 'string') throw invalidOption('path', path, 'text');
  return path.startsWith('@') ? `\0${path.slice(1)}` : path;
}

/** Checks connection options and fills in the defaults. */
export function connectionLimits(options: ConnectionOptions, firstByteTimeoutMs?: number): ConnectionLimits {
  const zeroCopy = zeroCopyChoice(options.zeroCopy);
  const zeroCopyThresholdBytes = integerOption(
    'zeroCopyThresholdBytes',
    options.zeroCopyThresholdBytes,
    DEFAULT_ZERO_COPY_THRESHOLD_BYTES,
    1,
    131_072,
  );
  const maxOutputBytes = integerOption('maxOutputBytes', options.maxOutputBytes, 2 ** 26, 1024, 2 ** 32);
  return {
    noDelay: options.noDelay ?? true,
    idleTimeoutMs: integerOption('idleTimeoutMs', options.idleTimeoutMs, 0, 0, 30 * DAY_MS),
    halfOpenTimeoutMs: integerOption(
      'halfOpenTimeoutMs',
      options.halfOpenTimeoutMs,
      DEFAULT_HALF_OPEN_TIMEOUT_MS,
      0,
      30 * DAY_MS,
    ),
    firstByteTimeoutMs: integerOption('firstByteTimeoutMs', firstByteTimeoutMs, 0, 0, DAY_MS),
    maxOutputBytes,
    outputHighWaterBytes: integerOption(
      'outputHighWaterBytes',
      options.outputHighWaterBytes,
      Math.min(262_144, maxOutputBytes),
      1,
      maxOutputBytes,
    ),
    readAheadBytes: integerOption('readAheadBytes', options.readAheadBytes, 262_144, 1, 2 ** 30),
    closeTimeoutMs: integerOption('closeTimeoutMs', options.closeTimeoutMs, 5000, 1, HOUR_MS),
    socketSettings: socketSettings(options),
    zeroCopy,
    zeroCopyThresholdBytes: zeroCopy === 'never' ? Number.POSITIVE_INFINITY : zeroCopyThresholdBytes,
  };
}
