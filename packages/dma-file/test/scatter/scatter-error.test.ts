import { BroadcastChannel } from 'node:worker_threads';
import { Runtime } from '@sunstar/runtime';
import { expect, test } from 'vitest';

test('a ScatterError reaches another shard as what it is', async () => {
  const name = `sunstar-scatter-error-${process.pid}`;
  const channel = new BroadcastChannel(name);
  const caught = new Promise((resolve) => {
    channel.onmessage = (event) => resolve((event as { data: unknown }).data);
  });
  const entry = new URL('./scatter-error-shard.mjs', import.meta.url);
  const runtime = await Runtime.start({ entry, shards: 2, memory: '32MiB', log: 'silent', data: name });
  try {
    expect(await caught).toEqual({
      isScatterError: true,
      code: 'SUNSTAR_SCATTER_FAILED',
      failedPages: [3, 5],
      cause: 'RangeError',
    });
  } finally {
    channel.close();
    await runtime.stop();
  }
});
