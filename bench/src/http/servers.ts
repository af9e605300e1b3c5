// A server program: `node servers.js KIND`. Prints its port.
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { serveHttp } from '@sunstar/example-http';
import { IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { listen, type Receiver, serveWith } from '@sunstar/zerocopy-net';

const TEXT = { 'Content-Type': 'text/plain' };
/** For servers that do not look at what they are asked. */
const REPLY =
  'HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello';

const hello: RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': '5' });
  response.end('hello');
};

function listenOf(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

const kinds: Readonly<Record<string, () => Promise<number>>> = {
  'node:http': () => listenOf(createHttpServer(hello)),
  'node:net': () =>
    listenOf(
      createServer({ noDelay: true }, (socket) => {
        socket.on('error', () => {});
        socket.on('data', () => socket.write(REPLY, 'latin1'));
      }),
    ),
  fixed: async () => {
    attach();
    const reply = IOBuf.from(REPLY);
    const receiver: Receiver = {
      onData(connection) {
        connection.output.link(reply);
        connection.flush();
      },
    };
    const listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = receiver;
    });
    return listener.port;
  },
  hello: async () => {
    attach();
    const server = await serveHttp({ port: 0 }, (_request, response) => response.send(200, TEXT, 'hello'));
    return server.port;
  },
  duplex: async () => {
    attach();
    return (await serveWith(createHttpServer(hello), { port: 0 })).port;
  },
};

const start = kinds[process.argv[2]];
if (start === undefined) throw new Error(`no server is called ${process.argv[2]}`);
process.stdout.write(`${await start()}\n`);
