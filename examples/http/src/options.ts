import { SunstarError } from '@sunstar/runtime';
import type { HttpRequest } from './http-request.js';
import type { HttpResponse } from './http-response.js';

/** Answers one request: at once, or until its promise resolves. One request of a connection at a time. */
export type HttpHandler = (request: HttpRequest, response: HttpResponse) => void | Promise<void>;

/** Options of `serveHttp`. */
export interface HttpOptions {
  /** Bytes of a request's line and fields; more is answered with 431. @defaultValue 16384; 256 to 1048576 */
  readonly maxHeadBytes?: number;
  /** Bytes of a request's body; more is answered with 413. @defaultValue 1048576; 0 to 1 GiB */
  readonly maxBodyBytes?: number;
  /** How long a request may take to arrive, in milliseconds; then it is answered with 408. @defaultValue 30000 */
  readonly requestTimeoutMs?: number;
  /** How long a connection may wait for its next request, in milliseconds. @defaultValue 5000 */
  readonly keepAliveTimeoutMs?: number;
  /** Hears what handlers throw; they are answered with 500. @defaultValue the shard's log */
  readonly onError?: (error: unknown) => void;
}

/** {@link HttpOptions} with every default, and the clock. */
export interface HttpLimits extends Required<HttpOptions> {
  readonly nowMs: () => number;
}

/** Checks the options and fills in the defaults. */
export function httpLimits(
  options: HttpOptions,
  onError: (error: unknown) => void,
  nowMs: () => number,
): HttpLimits {
  return {
    maxHeadBytes: integer('maxHeadBytes', options.maxHeadBytes, 16_384, 256, 2 ** 20),
    maxBodyBytes: integer('maxBodyBytes', options.maxBodyBytes, 2 ** 20, 0, 2 ** 30),
    requestTimeoutMs: integer('requestTimeoutMs', options.requestTimeoutMs, 30_000, 1, 3_600_000),
    keepAliveTimeoutMs: integer('keepAliveTimeoutMs', options.keepAliveTimeoutMs, 5_000, 1, 3_600_000),
    onError: options.onError ?? onError,
    nowMs,
  };
}

function integer(
  name: string,
  value: number | undefined,
  standard: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return standard;
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new SunstarError(
    'SUNSTAR_INVALID_OPTION',
    `${name} must be a whole number from ${min} to ${max}, not ${value}.`,
  );
}
