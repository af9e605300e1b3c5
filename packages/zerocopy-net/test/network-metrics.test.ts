import { once } from 'node:events';
import { connect } from 'node:net';
import { attach } from '@sunstar/runtime';
import { listen } from '@sunstar/zerocopy-net';
import { afterAll, expect, it } from 'vitest';

const shard = attach({ memory: '64MiB' });
afterAll(() => shard.stop());

async function latest(name: string): Promise<number | undefined> {
  const family = (await shard.metrics.collect()).find((one) => one.name === name);
  return family?.values[0].value;
}

it('connections and bytes are in the metrics of the shard', async () => {
  await using listener = await listen({ port: 0 }, async (connection) => {
    await connection.write('hello');
    for await (const bytes of connection) bytes[Symbol.dispose]();
  });
  const client = connect(listener.port, '127.0.0.1');
  await once(client, 'data');
  expect(await latest('sunstar_net_connections')).toBe(1);
  expect(await latest('sunstar_net_accepted_total')).toBe(1);
  // The client may read before the shard has reaped its send.
  while ((await latest('sunstar_net_sent_bytes_total')) !== 5) await new Promise(setImmediate);
  const closed = once(client, 'close');
  client.end('1234567');
  await closed;
  while ((await latest('sunstar_net_connections')) !== 0) await new Promise(setImmediate);
  expect(await latest('sunstar_net_received_bytes_total')).toBe(7);
  expect(await latest('sunstar_net_receive_buffers_free')).toBeGreaterThan(0);
});
