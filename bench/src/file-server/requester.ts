// Asks for a file again and again over some connections without waiting for answers, of which nothing arrives here but
// what the device counts. Arguments: host, port, path, bytes of the file, the first of many local ports. Prints "ready"
// when the first bytes have come.
import { readFileSync } from 'node:fs';
import net from 'node:net';

/** Of answers that one connection asks for: the server drops what acknowledges bytes from before its window, 64 MiB. */
const BYTES_PER_CONNECTION = 60e6;
/** Connections that should have answers to come. */
const CONNECTIONS = 8;
/** Connections that have been served are closed so much later: nobody says which ones they are. */
const KEPT_CONNECTIONS = 64;
const LOOK_MS = 2;
const PORTS = 2000;

const [host, port, path, sizeBytes, firstPort] = process.argv.slice(2);
const count = Math.max(1, Math.floor(BYTES_PER_CONNECTION / Number(sizeBytes)));
const requests = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(count);
const sockets: net.Socket[] = [];
let opened = 0;
let isReady = false;

/** Bytes that came to the only device besides loopback. */
function receivedBytes(): number {
  const line = readFileSync('/proc/self/net/dev', 'utf8')
    .split('\n')
    .find((one) => one.trim().startsWith('rig1:'));
  return Number(line?.split(':')[1].trim().split(/\s+/)[0]);
}

function open(): void {
  const localPort = Number(firstPort) + (opened++ % PORTS);
  const socket = net.connect({ host, port: Number(port), localPort, noDelay: true });
  socket.on('error', (error) => {
    throw error;
  });
  socket.once('connect', () => socket.write(requests));
  sockets.push(socket);
  if (sockets.length > KEPT_CONNECTIONS) sockets.shift()?.resetAndDestroy();
}

const before = receivedBytes();
setInterval(() => {
  const received = receivedBytes() - before;
  while (opened * count * Number(sizeBytes) - received < CONNECTIONS * BYTES_PER_CONNECTION) open();
  if (received > 0 && !isReady) {
    isReady = true;
    console.log('ready');
  }
}, LOOK_MS);
