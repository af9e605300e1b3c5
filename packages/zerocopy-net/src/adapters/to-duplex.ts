import { currentShard } from '@sunstar/runtime';
import type { Connection } from '../connection.js';
import { ConnectionDuplex, type DuplexOptions } from './connection-duplex.js';

/**
 * Gives a connection the face of a Node stream, so that what was written for `net.Socket` runs on it: node:http
 * (see {@link serveWith}), node:tls (`tls.connect({ socket })`), clients that take a `createConnection` function.
 *
 * Received bytes are copied once, out of the shard's few receive buffers into a Buffer of the reader's own. Small
 * output is copied into shard memory; a chunk of 32 KiB or more is sent from where it lies, and its write calls back
 * when the kernel has it. The stream is the connection's receiver from now on: do not set another, and do not read
 * from the connection itself. Runs on the connection's shard.
 */
export function toDuplex(connection: Connection, options: DuplexOptions = {}): ConnectionDuplex {
  return new ConnectionDuplex(connection, currentShard().memory.bytes, options);
}
