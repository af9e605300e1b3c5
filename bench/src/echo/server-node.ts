// Echoes framed messages with node:net. Argument: port.
import net from 'node:net';
import { parseMessages } from './frame.js';

const server = net.createServer({ noDelay: true }, (socket) => {
  let incomplete: Buffer | null = null;
  socket.on('data', (piece: Buffer) => {
    const data: Buffer = incomplete === null ? piece : Buffer.concat([incomplete, piece]);
    const end = parseMessages(data, 0, data.length);
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
