import { once } from 'node:events';
import { attach } from '@sunstar/runtime';
import { listen, networkStats } from '@sunstar/zerocopy-net';
import { afterEach, describe, expect, test } from 'vitest';
import { connectionLimits } from '../src/options.ts';
import { Child } from './support/child.ts';
import { mayMakeNetworks } from './support/confined.ts';
import { leakCheck } from './support/leaks.ts';
import { nodeClient, outcome, until } from './support/peer.ts';

const shard = attach({ memory: '64MiB', log: 'silent' });
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

describe('half-open connections', () => {
  test('the peer has ended and we say nothing: closed in time', async () => {
    const errors: unknown[] = [];
    await using listener = await listen({ port: 0, halfOpenTimeoutMs: 50 }, (connection) => {
      connection.receiver = {
        onData() {},
        onEnd() {},
        onClose: (_c, error) => errors.push(error),
      };
    });
    const client = await nodeClient(listener.port);
    client.end();
    expect(await outcome(client)).toBe('end');
    await until(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: 'SUNSTAR_HALF_OPEN_TIMEOUT' });
    expect(listener.stats).toMatchObject({ halfOpenCloses: 1, idleCloses: 0, open: 0 });
  });

  test('we have ended and the peer says nothing: closed in time', async () => {
    await using listener = await listen({ port: 0, halfOpenTimeoutMs: 50 }, (connection) => {
      connection.receiver = { onData() {} };
      connection.end();
    });
    const client = await nodeClient(listener.port);
    await once(client.resume(), 'end');
    await until(() => listener.stats.halfOpenCloses === 1);
    client.destroy();
  });

  test('output that does not move is given up with a reset', async () => {
    await using listener = await listen(
      { port: 0, halfOpenTimeoutMs: 50, sendBufferBytes: 16_384 },
      (connection) => {
        connection.receiver = { onData() {}, onEnd() {} };
        connection.output.append(Buffer.alloc(8_000_000));
        connection.flush();
      },
    );
    const client = await nodeClient(listener.port);
    client.pause();
    client.end();
    await until(() => listener.stats.halfOpenCloses === 1);
    expect(listener.stats.resets).toBe(1);
    // With bytes that it has not read, libuv may report their end or the reset: but not all of them.
    await outcome(client);
    expect(client.bytesRead).toBeLessThan(8_000_000);
    client.destroy();
  });

  test('one on which something moves may take its time', async () => {
    const before = networkStats().halfOpenCloses;
    let seen = 0;
    await using listener = await listen({ port: 0, halfOpenTimeoutMs: 100 }, (connection) => {
      connection.receiver = {
        onData() {
          seen++;
        },
        onEnd: () => void connection.close(),
      };
      connection.end();
    });
    const client = await nodeClient(listener.port);
    await once(client.resume(), 'end');
    // Three times as long as the limit, but never silent for so long.
    const until3 = performance.now() + 300;
    while (performance.now() < until3 && !client.destroyed) {
      client.write('x');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const writes = seen;
    client.end();
    await until(() => listener.stats.open === 0);
    // Only where this process itself stood still for that long could it have been closed.
    if (networkStats().halfOpenCloses === before) expect(writes).toBeGreaterThan(1);
  });

  test('0 is never, and a minute the default', async () => {
    expect(connectionLimits({}).halfOpenTimeoutMs).toBe(60_000);
    await using listener = await listen({ port: 0, halfOpenTimeoutMs: 0 }, (connection) => {
      connection.receiver = { onData() {}, onEnd() {} };
    });
    const client = await nodeClient(listener.port);
    client.end();
    // As long as it would have taken with 50 ms.
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(listener.stats).toMatchObject({ open: 1, halfOpenCloses: 0 });
    for (const connection of listener.connections) connection.reset();
    client.destroy();
  });
});

describe.skipIf(!mayMakeNetworks)('a peer that vanished without a word', () => {
  // The loopback device of a network of its own is switched off: nothing arrives any more.
  for (const [what, code] of [
    ['idle', 'SUNSTAR_ETIMEDOUT'],
    ['sending', 'SUNSTAR_ETIMEDOUT'],
  ] as const) {
    test(`${what}: the kernel finds out`, async () => {
      const setUp = 'ip link set lo up';
      await using child = new Child(
        'vanished-peer.mjs',
        [what],
        `exec unshare -n sh -c '${setUp} && "$@"' --`,
      );
      const result = JSON.parse(await child.line()) as { code: string; open: number };
      expect(result).toEqual({ code, open: 0 });
      expect(await child.exited).toBe(0);
    });
  }
});
