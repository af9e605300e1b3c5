// A server program for Bun: `bun bun-servers.js KIND`. Prints its port.

interface BunServer {
  readonly port: number;
}

interface BunSocket {
  write(data: Uint8Array): number;
}

declare const Bun: {
  serve(options: { port: number; hostname: string; fetch(): Response }): BunServer;
  listen(options: {
    port: number;
    hostname: string;
    socket: { data(socket: BunSocket): void; error(): void };
  }): BunServer;
};

const REPLY = Buffer.from(
  'HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello',
);

const address = { port: 0, hostname: '127.0.0.1' };
const server =
  process.argv[2] === 'serve'
    ? Bun.serve({
        ...address,
        fetch: () => new Response('hello', { headers: { 'content-type': 'text/plain' } }),
      })
    : Bun.listen({ ...address, socket: { data: (socket) => void socket.write(REPLY), error() {} } });
process.stdout.write(`${server.port}\n`);
