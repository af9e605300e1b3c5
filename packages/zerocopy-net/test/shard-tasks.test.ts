import { attach } from '@sunstar/runtime';
import { bindUdp, listen } from '@sunstar/zerocopy-net';
import { expect, test } from 'vitest';

const shard = attach({ memory: '32MiB', log: 'silent' });

test('sockets that are closed leave no task for the end of the shard behind', async () => {
  // The network itself has one.
  await bindUdp({}, { onDatagram() {} }).close();
  let tasks = 0;
  const counted =
    <Task>(register: (task: Task) => () => void) =>
    (task: Task): (() => void) => {
      const forget = register(task);
      tasks++;
      return () => {
        tasks--;
        forget();
      };
    };
  shard.onStop = counted(shard.onStop.bind(shard));
  shard.onDrain = counted(shard.onDrain.bind(shard));
  const socket = bindUdp({}, { onDatagram() {} });
  const listener = await listen({ port: 0 }, () => {});
  expect(tasks).toBe(3);
  await listener.close();
  expect(tasks).toBe(1);
  await socket.close();
  expect(tasks).toBe(0);
});
