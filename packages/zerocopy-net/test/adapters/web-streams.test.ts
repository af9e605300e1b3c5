import { createHash, randomBytes } from 'node:crypto';
import { TransformStream } from 'node:stream/web';
import { attach } from '@sunstar/runtime';
import { connect, listen, toWebStreams } from '@sunstar/zerocopy-net';
import { afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from '../support/leaks.ts';
import { until } from '../support/peer.ts';

const shard = attach({ memory: '64MiB' });
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

function upperCase(): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform: (chunk, controller) => {
      controller.enqueue(Buffer.from(Buffer.from(chunk).toString('latin1').toUpperCase(), 'latin1'));
    },
  });
}

describe('toWebStreams', () => {
  test('pipes a connection through a transform back into itself', async () => {
    await using listener = await listen({ port: 0 }, async (connection) => {
      const { readable, writable } = toWebStreams(connection);
      await readable.pipeThrough(upperCase()).pipeTo(writable);
    });
    const { readable, writable } = toWebStreams(await connect({ port: listener.port }));
    const sent = randomBytes(1_000_000).toString('hex');
    const writer = writable.getWriter();
    const written = (async () => {
      for (let at = 0; at < sent.length; at += 100_000) await writer.write(sent.slice(at, at + 100_000));
      await writer.close();
    })();
    const hash = createHash('sha256');
    let received = 0;
    for await (const chunk of readable) {
      received += chunk.length;
      hash.update(chunk);
    }
    await written;
    expect(received).toBe(sent.length);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(sent.toUpperCase()).digest('hex'));
  });

  test('cancelling resets the peer, and a reset of the peer is an error', async () => {
    const seen: unknown[] = [];
    await using listener = await listen({ port: 0 }, async (connection) => {
      const { readable } = toWebStreams(connection);
      const reader = readable.getReader();
      try {
        for (;;) if ((await reader.read()).done) break;
      } catch (error) {
        seen.push(error);
      }
    });
    const client = await connect({ port: listener.port });
    const { readable, writable } = toWebStreams(client);
    await writable.getWriter().write('hello');
    await readable.cancel();
    await client.closed;
    expect(client.error).toMatchObject({ code: 'SUNSTAR_CONNECTION_RESET' });
    await until(() => seen.length > 0);
    expect(seen).toMatchObject([{ code: 'SUNSTAR_ECONNRESET' }]);
  });
});
