import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { Runtime } from '@sunstar/runtime';
import { expect, test } from 'vitest';
import { fixture } from './support/child.ts';
import { freePort, nodeClient, outcome } from './support/peer.ts';

test('every shard listens on the same port, and stopping the runtime ends all connections', async () => {
  const port = freePort();
  const runtime = await Runtime.start({
    shards: 2,
    memory: '64MiB',
    entry: pathToFileURL(fixture('shard-echo.mjs')),
    data: { port },
    log: 'silent',
  });
  const clients = await Promise.all(Array.from({ length: 32 }, () => nodeClient(port)));
  const answers = await Promise.all(
    clients.map(async (client) => {
      client.write('hello\n');
      const [data] = (await once(client, 'data')) as [Buffer];
      return data.toString();
    }),
  );
  expect(new Set(answers)).toEqual(new Set(['0 hello\n', '1 hello\n']));
  const ends = clients.map(async (client) => {
    const ended = await outcome(client);
    client.end();
    return ended;
  });
  await runtime.stop();
  // Nobody was in the middle of something: orderly ends, no resets.
  expect(new Set(await Promise.all(ends))).toEqual(new Set(['end']));
});
