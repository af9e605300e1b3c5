import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { native } from '@sunstar/native';

/** A client of node:net, connected. */
export async function nodeClient(port: number, host = '127.0.0.1'): Promise<net.Socket> {
  const socket = net.connect({ port, host, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** Waits until a condition holds; the test's time limit is the deadline. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Everything that a socket receives until the peer's end; our side stays open. */
export function readAll(socket: net.Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    socket.on('end', () => resolve(Buffer.concat(pieces)));
    socket.on('error', reject);
    socket.resume();
  });
}

export function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

/** How the socket ended: its error code, or 'end'. */
export function outcome(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('end', () => resolve('end'));
    socket.resume();
  });
}

/** A port that was free a moment ago. */
export function freePort(): number {
  const fd = native.tcpListen('127.0.0.1', 0, true, 1, false);
  const name = native.socketName(fd);
  native.closeDescriptor(fd);
  if (typeof name === 'number') throw new Error('no free port');
  return name.port;
}
