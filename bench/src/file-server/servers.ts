// A server program: `node servers.js KIND DIRECTORY [HOST]`. Prints its port.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { FileService } from '@sunstar/example-file-server';
import { serveHttp } from '@sunstar/example-http';
import { attach } from '@sunstar/runtime';

const [, , kind, root, host = '127.0.0.1'] = process.argv;

/** What a program of Node does for a file: look at it, tell its length, pipe it. */
async function send(path: string, response: ServerResponse): Promise<void> {
  const { size } = await stat(path);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  await pipeline(createReadStream(path), response);
}

async function start(): Promise<number> {
  if (kind === 'sunstar') {
    attach({ memory: '512MiB' });
    const service = new FileService({ root, maxOpenFiles: 512, revalidateMs: 1_000, cacheBytes: 2 ** 27 });
    return (await serveHttp({ port: 0, host }, service.handle)).port;
  }
  const server = createServer((request, response) => {
    send(join(root, request.url ?? '/'), response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return (server.address() as AddressInfo).port;
}

process.stdout.write(`${await start()}\n`);
