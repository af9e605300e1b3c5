// Echoes framed messages with Bun.listen; run by bun. Argument: port.
import { parseMessages } from './frame.js';

interface BunSocket {
  data: Buffer | null;
  write(data: Uint8Array): number;
  terminate(): void;
}

interface BunApi {
  listen(options: {
    hostname: string;
    port: number;
    socket: {
      open(socket: BunSocket): void;
      data(socket: BunSocket, data: Buffer): void;
      drain(socket: BunSocket): void;
    };
  }): void;
}

/** What the kernel did not take at once, by socket. */
const unsent = new WeakMap<BunSocket, Uint8Array>();

function send(socket: BunSocket, data: Uint8Array): void {
  const waiting = unsent.get(socket);
  if (waiting !== undefined) {
    unsent.set(socket, Buffer.concat([waiting, data]));
    return;
  }
  const sent = socket.write(data);
  if (sent < data.length) unsent.set(socket, data.slice(Math.max(0, sent)));
}

/** Faster in Bun than by bytes. */
function lengthAt(bytes: Buffer, at: number): number {
  return bytes.readInt32LE(at);
}

(globalThis as unknown as { Bun: BunApi }).Bun.listen({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  socket: {
    open(socket) {
      socket.data = null;
    },
    data(socket, piece) {
      const data = socket.data === null ? piece : Buffer.concat([socket.data, piece]);
      const end = parseMessages(data, lengthAt, 0, data.length);
      if (end < 0) {
        socket.terminate();
        return;
      }
      if (end > 0) send(socket, end === data.length ? data : data.subarray(0, end));
      socket.data = end === data.length ? null : Buffer.from(data.subarray(end));
    },
    drain(socket) {
      const data = unsent.get(socket);
      if (data === undefined) return;
      unsent.delete(socket);
      send(socket, data);
    },
  },
});
console.log('ready');
