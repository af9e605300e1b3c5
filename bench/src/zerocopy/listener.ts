// The other end of a sender: accepts, and reads everything or nothing. Arguments: host, port, "read" or "stall".
import net from 'node:net';

const [host, port, mode] = process.argv.slice(2);
const server = net.createServer((socket) => {
  socket.on('error', () => {});
  if (mode === 'read') socket.resume();
  else socket.pause();
});
server.listen(Number(port), host, () => console.log('ready'));
