// Asks for a file again and again over some connections without waiting for answers, of which nothing arrives here.
// Arguments: host, port, path, connections, the first of their local ports. Prints "ready" when all are open.
import net from 'node:net';

/** Requests that are written at a time; what the server does not read holds the next ones back. */
const BATCH = 64;

const [host, port, path, connections, firstPort] = process.argv.slice(2);
const requests = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(BATCH);
let open = 0;

for (let i = 0; i < Number(connections); i++) {
  const socket = net.connect({ host, port: Number(port), localPort: Number(firstPort) + i, noDelay: true });
  const ask = (): void => {
    while (socket.write(requests)) {}
  };
  socket.on('drain', ask);
  socket.once('connect', () => {
    if (++open === Number(connections)) console.log('ready');
    ask();
  });
}
