/**
 * What the connections of one listener, or all outgoing connections of a shard, have done. Counters
 * only grow; `open` is a gauge.
 */
export interface ConnectionStats {
  /** Connections that were accepted and handed to the handler. */
  accepted: number;
  /** Connections that were accepted and given to another shard, which counts them as its own. */
  given: number;
  /** Connections that were reset because the shard that they were given to ended before it had answered. */
  lost: number;
  /** Connections that were accepted and refused, because `maxConnections` were open. */
  refused: number;
  /** Connections that `connect` established. */
  connected: number;
  /** Connections whose descriptor is open. */
  open: number;
  /** Bytes received. */
  bytesIn: number;
  /** Bytes that the kernel accepted for sending. */
  bytesOut: number;
  /** Receives that brought data. */
  receives: number;
  /** Sends that the kernel accepted, in full or in part. */
  sends: number;
  /**
   * Times that a receive ended because the kernel had no receive buffer: every one is in use, or, at the first bursts of
   * input, more were wanted than it had been given.
   */
  bufferPoolExhausted: number;
  /** Connections that ended with an error of the network, the peer's reset included. */
  errors: number;
  /** Connections that this side reset: `reset()`, a failed handler, or one of the limits. */
  resets: number;
  /** Connections that were reset because the peer read too slowly (`maxOutputBytes`). */
  outputLimitCloses: number;
  /** Connections that were closed because nothing moved for `idleTimeoutMs`. */
  idleCloses: number;
  /** Connections that were closed because one side had ended, and nothing moved for `halfOpenTimeoutMs`. */
  halfOpenCloses: number;
  /** Connections that were closed because the peer was silent for `firstByteTimeoutMs`. */
  firstByteCloses: number;
  /** Closes that did not end within `closeTimeoutMs` and were forced. */
  forcedCloses: number;
  /** Exceptions of handlers and receivers; each reset its connection. */
  handlerErrors: number;
}

/** All counters at zero. */
export function newConnectionStats(): ConnectionStats {
  return {
    accepted: 0,
    given: 0,
    lost: 0,
    refused: 0,
    connected: 0,
    open: 0,
    bytesIn: 0,
    bytesOut: 0,
    receives: 0,
    sends: 0,
    bufferPoolExhausted: 0,
    errors: 0,
    resets: 0,
    outputLimitCloses: 0,
    idleCloses: 0,
    halfOpenCloses: 0,
    firstByteCloses: 0,
    forcedCloses: 0,
    handlerErrors: 0,
  };
}

/** Adds every counter of `stats` to `target`. */
export function addTo(target: ConnectionStats, stats: ConnectionStats): void {
  for (const name of Object.keys(target) as (keyof ConnectionStats)[]) target[name] += stats[name];
}
