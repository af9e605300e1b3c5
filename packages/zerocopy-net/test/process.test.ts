import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { Child, fixture } from './support/child.ts';
import { nodeClient, outcome, until } from './support/peer.ts';

async function portOf(child: Child): Promise<number> {
  return (JSON.parse(await child.line()) as { port: number }).port;
}

async function echoes(client: Socket): Promise<void> {
  const answer = once(client, 'data') as Promise<[Buffer]>;
  client.write('ping');
  expect((await answer)[0].toString()).toBe('ping');
}

test('out of descriptors: accepting pauses, does not spin, and goes on', async () => {
  // Enough for Node to load its modules, many at a time.
  const limit = 192;
  await using child = new Child('echo-server.mjs', [], `ulimit -n ${limit};`);
  const port = await portOf(child);
  const clients = await Promise.all(Array.from({ length: limit + 40 }, () => nodeClient(port)));
  await until(() => child.errors.join('').includes('EMFILE'));
  const before = await child.ask('stats');
  expect(before.accepted).toBeLessThan(limit);
  await echoes(clients[0]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const after = await child.ask('stats');
  // A loop of accepts would submit tens of thousands of operations in this time.
  expect(after.submitted - before.submitted).toBeLessThan(200);
  // The first ones go; the others come from the backlog.
  for (const client of clients.slice(0, limit)) client.destroy();
  await Promise.all(clients.slice(limit).map(echoes));
  for (const client of clients) client.destroy();
  expect(child.errors.join('').match(/EMFILE/g)?.length).toBeLessThan(10);
});

test('a client that has finished lets its process end', async () => {
  await using server = new Child('echo-server.mjs');
  await using client = new Child('exits-by-itself.mjs', [String(await portOf(server))]);
  expect(await client.line()).toBe('hello');
  expect(await client.exited).toBe(0);
});

test('a server that was closed lets its process end', async () => {
  await using server = new Child('echo-server.mjs');
  const client = await nodeClient(await portOf(server));
  await echoes(client);
  const ended = outcome(client);
  server.tell('close');
  await ended;
  client.end();
  expect(await server.exited).toBe(0);
});

describe('ends with operations in flight', () => {
  for (const [what, code] of [
    ['exit', 0],
    ['throw', 1],
  ] as const) {
    test(`the process: ${what}`, async () => {
      await using server = new Child('echo-server.mjs');
      const port = await portOf(server);
      const clients = await Promise.all(Array.from({ length: 20 }, () => nodeClient(port)));
      const ends = clients.map(outcome);
      for (const client of clients) {
        client.write(Buffer.alloc(1_000_000));
        client.on('data', (data: Buffer) => client.write(data));
      }
      await until(() => clients.every((client) => client.bytesRead > 0));
      server.tell(what);
      expect(await server.exited).toBe(code);
      await Promise.all(ends);
      for (const client of clients) client.destroy();
    });
  }

  test('a worker is terminated, 5 times: its descriptors are closed', async () => {
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const run = async (): Promise<void> => {
      const worker = new Worker(fixture('terminated-worker.mjs'));
      const [port] = (await once(worker, 'message')) as [number];
      const client = await nodeClient(port);
      await echoes(client);
      const ended = outcome(client);
      await worker.terminate();
      await ended;
      client.destroy();
    };
    await run();
    const before = descriptors();
    for (let i = 0; i < 5; i++) await run();
    await until(() => descriptors() <= before);
  });
});
