/** What one shard counts about its clients. */
export interface ServerStats {
  /** Connections that were accepted, refused ones included. */
  connectionsReceived: number;
  /** Connections that were refused because of --max-clients. */
  rejectedConnections: number;
  /** Clients that were closed because they read no reply for --client-output-timeout. */
  outputTimeoutCloses: number;
  /** Clients that were closed because they sent no command for --handshake-timeout. */
  handshakeTimeoutCloses: number;
  /** Clients that were closed because they were idle for --timeout. */
  idleTimeoutCloses: number;
  /** Clients that were closed because they do not speak the protocol. */
  protocolErrors: number;
  /** How often a client was read no further because its replies, or the log, had to leave first. */
  backpressurePauses: number;
}

export function newServerStats(): ServerStats {
  return {
    connectionsReceived: 0,
    rejectedConnections: 0,
    outputTimeoutCloses: 0,
    handshakeTimeoutCloses: 0,
    idleTimeoutCloses: 0,
    protocolErrors: 0,
    backpressurePauses: 0,
  };
}
