import { pathToFileURL } from 'node:url';
import { Runtime } from '@sunstar/runtime';
import { expect, test } from 'vitest';
import { fixture } from '../support/child.ts';
import { freePort, nodeClient, readAll } from '../support/peer.ts';

test('requests go to the shards of their keys, keep their order there, and are answered in theirs', async () => {
  const port = freePort();
  await using runtime = await Runtime.start({
    shards: 3,
    memory: '64MiB',
    entry: pathToFileURL(fixture('partitioned-shard.mjs')),
    data: { port },
    log: 'silent',
  });
  const keys = Array.from({ length: 500 }, (_, i) => `key${(i * 7) % 11}`);
  const client = await nodeClient(port);
  client.end(`${keys.join('\n')}\n`);
  const answers = (await readAll(client)).toString().trim().split('\n');
  const counts = new Map<string, number>();
  const shards = new Set<string>();
  expect(answers).toHaveLength(keys.length);
  for (const [i, answer] of answers.entries()) {
    const [key, number, shardId] = answer.split(' ');
    expect(key).toBe(keys[i]);
    counts.set(key, (counts.get(key) ?? 0) + 1);
    expect(Number(number)).toBe(counts.get(key));
    shards.add(shardId);
  }
  expect(shards.size).toBe(3);
  expect(runtime.state).toBe('running');
});
