// Echoes framed messages with node:net. Argument: port.
import net from 'node:net';
import { parseMessages } from './frame.js';

/** By bytes: faster in Node than `readInt32LE`, and a DataView of each piece costs as much as it saves. */
function lengthAt(bytes: Buffer, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}

const server = net.createServer({ noDelay: true }, (socket) => {
  let incomplete: Buffer | null = null;
  socket.on('data', (piece: Buffer) => {
    const data: Buffer = incomplete === null ? piece : Buffer.concat([incomplete, piece]);
    const end = parseMessages(data, lengthAt, 0, data.length);
    if (end < 0) {
      socket.destroy();
      return;
    }
    if (end > 0) socket.write(end === data.length ? data : data.subarray(0, end));
    incomplete = end === data.length ? null : data.subarray(end);
  });
  socket.on('error', () => {});
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'));
