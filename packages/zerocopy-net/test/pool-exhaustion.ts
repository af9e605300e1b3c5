import { randomBytes } from 'node:crypto';
import type { IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { configureNetwork, listen, networkStats } from '@sunstar/zerocopy-net';
import { afterEach, expect, test } from 'vitest';
import { leakCheck } from './support/leaks.ts';
import { nodeClient, readAll, sha256, until } from './support/peer.ts';

/** What happens with far fewer receive buffers than connections. */
export async function poolExhaustionTests(incrementalReceive: boolean): Promise<void> {
  const shard = attach({ memory: '64MiB' });
  configureNetwork({ receiveBufferBytes: 512, receiveBufferCount: 8, incrementalReceive });
  const nothingIsLeft = await leakCheck(shard);
  afterEach(nothingIsLeft);

  test('the pool cannot be resized once it is in use', () => {
    expect(() => configureNetwork({})).toThrowError(
      expect.objectContaining({ code: 'SUNSTAR_NETWORK_IN_USE' }),
    );
    expect(networkStats()).toMatchObject({
      receiveBufferBytes: 512,
      receiveBufferCount: 8,
      incrementalReceive,
    });
  });

  test('with far fewer buffers than the traffic needs, receives wait and nothing is lost', async () => {
    await using listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = {
        onData(c, offset, length) {
          c.output.appendRange(offset, length);
          c.flush();
        },
      };
    });
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await nodeClient(listener.port);
        const data = randomBytes(200_000);
        const answer = readAll(client);
        client.end(data);
        expect(sha256(await answer)).toBe(sha256(data));
      }),
    );
    expect(listener.stats.bufferPoolExhausted).toBeGreaterThan(0);
    expect(listener.stats.errors).toBe(0);
  });

  test('who keeps what it receives cannot hold the pool', async () => {
    const kept: IOBuf[] = [];
    await using listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = {
        onData: (c) => {
          kept.push(c.retain());
        },
      };
    });
    const client = await nodeClient(listener.port);
    const data = randomBytes(300_000);
    client.end(data);
    await until(() => listener.stats.accepted === 1 && listener.stats.open === 0);
    // All of it is kept, hundreds of times what the pool could hold.
    expect(sha256(Buffer.concat(kept.map((piece) => piece.toBuffer())))).toBe(sha256(data));
    const { receiveBuffersFree, receiveBufferCount } = networkStats();
    expect(receiveBuffersFree).toBeGreaterThanOrEqual(receiveBufferCount / 4 - 1);
    for (const piece of kept) piece[Symbol.dispose]();
  });

  test('a reader that does not read leaves buffers to the others', async () => {
    await using silent = await listen({ port: 0, readAheadBytes: 50_000 }, (connection) => {
      // Reads a byte, so that input gathers; then nothing for as long as the peer is there.
      void connection.readExactly(1).then((piece) => piece[Symbol.dispose]());
    });
    await using busy = await listen({ port: 0 }, async (connection) => {
      for await (const piece of connection) await connection.write(piece);
    });
    const hoarders = await Promise.all(Array.from({ length: 10 }, () => nodeClient(silent.port)));
    for (const hoarder of hoarders) hoarder.write(randomBytes(1_000_000));
    await until(() => silent.stats.bytesIn >= 10 * 50_000);
    const client = await nodeClient(busy.port);
    const data = randomBytes(100_000);
    const answer = readAll(client);
    client.end(data);
    expect(sha256(await answer)).toBe(sha256(data));
    for (const hoarder of hoarders) hoarder.destroy();
    for (const connection of silent.connections) connection.reset();
  });
}
