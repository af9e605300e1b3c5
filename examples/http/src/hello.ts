// What each shard of the program runs.
import type { ShardContext } from '@sunstar/runtime';
import { serveHttp } from './http-server.js';

/** What the program gives its shards. */
export interface HelloData {
  readonly host: string;
  readonly port: number;
}

/** Answers every GET with a greeting, and a POST with what was posted. */
export default async function main(shard: ShardContext): Promise<void> {
  const { host, port } = shard.data as HelloData;
  const text = { 'Content-Type': 'text/plain' };
  await serveHttp({ host, port }, (request, response) => {
    if (request.method === 'GET' || request.method === 'HEAD') response.send(200, text, 'hello');
    else if (request.method === 'POST') response.send(200, text, request.body);
    else response.send(405, { Allow: 'GET, HEAD, POST' });
  });
}
