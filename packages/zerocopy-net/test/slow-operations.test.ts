import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { attach } from '@sunstar/runtime';
import { connect, listen } from '@sunstar/zerocopy-net';
import { expect, test } from 'vitest';

// Every operation on a socket counts as slow.
const shard = attach({ memory: '64MiB', slowSocketOperationMs: 0, log: 'silent' });

test('slow sends and connects are told, with the scheduling group that asked', async () => {
  const slow: { operation: string }[] = [];
  const onSlow = (message: unknown): void => void slow.push(message as { operation: string });
  subscribe('sunstar:slow-operation', onSlow);
  await using listener = await listen({ port: 0 }, async (connection) => {
    for await (const piece of connection) await connection.write(piece);
  });
  const asking = shard.groups.create({ name: 'asking' });
  await asking.run(async () => {
    const connection = await connect({ port: listener.port });
    await connection.write('hello');
    using answer = await connection.readExactly(5);
    expect(answer.toString()).toBe('hello');
    await connection.close();
  });
  unsubscribe('sunstar:slow-operation', onSlow);
  const one = { shard: 0, on: 'socket', latencyMs: expect.any(Number) };
  expect(slow).toContainEqual({ ...one, operation: 'connect', group: 'asking' });
  expect(slow).toContainEqual({ ...one, operation: 'send', group: 'asking' });
  expect(slow).toContainEqual({ ...one, operation: 'send', group: 'default' });
});
