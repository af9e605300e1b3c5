import { SunstarError } from '../errors.js';
import { MAX_DELAY_MS } from '../sync/index.js';
import { inRange } from './options.js';
import { ServiceGroup } from './service-group.js';
import { MAX_WINDOW } from './stream-events.js';

/** What a call may be given besides its arguments: `counters.on(shard, options)`. */
export interface CallOptions {
  /**
   * How long to wait for the answer, 1 to 2^30 milliseconds; then the call rejects with
   * `SUNSTAR_CALL_TIMEOUT`, and the signal of {@link currentCall} is aborted on the other side. The other side
   * does not start a call whose time is over. @default the service's `timeoutMs`; without one, for ever
   */
  readonly timeoutMs?: number;
  /** Gives the call up: it rejects with the signal's reason, and the signal of {@link currentCall} is aborted. */
  readonly signal?: AbortSignal;
  /** Bounds what is outstanding, together with the other calls of that group. @default the service's group */
  readonly serviceGroup?: ServiceGroup;
  /** How many elements of an async iterable that the method returns may be sent ahead, 1 to 65,536. @default 16 */
  readonly window?: number;
  /**
   * Rejects with `SUNSTAR_DEADLINE_UNMEETABLE`, without sending anything, when what is known of the other shard
   * says that it will not answer in time. Needs `timeoutMs`. @default false
   */
  readonly refuseUnmeetable?: boolean;
}

/** @throws SunstarError `SUNSTAR_INVALID_OPTION` */
export function checkCallOptions(options: CallOptions): void {
  const { timeoutMs, signal, serviceGroup, refuseUnmeetable, window } = options;
  if (window !== undefined) inRange('window', window, 1, MAX_WINDOW);
  if (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= MAX_DELAY_MS)) {
    throw invalid(`timeoutMs is a number of milliseconds from 1 to ${MAX_DELAY_MS}, not ${timeoutMs}.`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalid('signal is an AbortSignal.');
  if (serviceGroup !== undefined && !(serviceGroup instanceof ServiceGroup)) {
    throw invalid('serviceGroup is a ServiceGroup.');
  }
  if (refuseUnmeetable === true && timeoutMs === undefined) {
    throw invalid('refuseUnmeetable needs timeoutMs: without it, every answer is in time.');
  }
}

function invalid(what: string): SunstarError {
  return new SunstarError('SUNSTAR_INVALID_OPTION', `Of the options of a call, ${what}`);
}
