import { once } from 'node:events';
import { attach } from '@sunstar/runtime';
import { connect, listen } from '@sunstar/zerocopy-net';
import { afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from './support/leaks.ts';
import { nodeClient, outcome, readAll, until } from './support/peer.ts';

const shard = attach({ memory: '64MiB', log: 'silent' });
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

describe('a handler that fails', () => {
  for (const [how, handler] of [
    [
      'throws',
      () => {
        throw new Error('on purpose');
      },
    ],
    ['rejects', () => Promise.reject(new Error('on purpose'))],
  ] as const) {
    test(`${how}: its connection is reset, the server lives on`, async () => {
      let fail = true;
      await using listener = await listen({ port: 0 }, (connection) => {
        if (fail) return handler();
        return connection.write('fine');
      });
      const first = await nodeClient(listener.port);
      expect(await outcome(first)).toBe('ECONNRESET');
      expect(listener.stats.handlerErrors).toBe(1);
      fail = false;
      const second = await nodeClient(listener.port);
      expect((await readAll(second)).toString()).toBe('fine');
      second.end();
    });
  }

  test('a receiver that throws: the same', async () => {
    const errors: unknown[] = [];
    await using listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = {
        onData() {
          throw new Error('on purpose');
        },
        onClose(_c, error) {
          errors.push(error);
        },
      };
    });
    const client = await nodeClient(listener.port);
    client.write('x');
    expect(await outcome(client)).toBe('ECONNRESET');
    await until(() => errors.length === 1);
    expect(errors[0]).toMatchObject({
      code: 'SUNSTAR_HANDLER_FAILED',
      cause: expect.objectContaining({ message: 'on purpose' }) as unknown,
    });
  });

  test('that the peer went away is no failure of the handler', async () => {
    await using listener = await listen({ port: 0 }, async (connection) => {
      await connection.read();
    });
    const client = await nodeClient(listener.port);
    await until(() => listener.stats.open === 1);
    client.resetAndDestroy();
    await until(() => listener.stats.open === 0);
    expect(listener.stats.errors).toBe(1);
    expect(listener.stats.handlerErrors).toBe(0);
  });
});

test('a handler that reads while we close is no failure', async () => {
  await using listener = await listen({ port: 0 }, async (connection) => {
    await connection.read();
  });
  const client = await nodeClient(listener.port);
  await until(() => listener.connections.size === 1);
  for (const connection of listener.connections) void connection.close();
  expect(await outcome(client)).toBe('end');
  client.end();
  await until(() => listener.stats.open === 0);
  expect(listener.stats.handlerErrors + listener.stats.resets).toBe(0);
});

test('garbage does no harm', async () => {
  await using listener = await listen({ port: 0 }, async (connection) => {
    for await (const line of connection.lines({ maxLineBytes: 100 }))
      await connection.write(`${line.length}\n`);
  });
  const garbage = await nodeClient(listener.port);
  garbage.write(
    Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7919) % 251).filter((b) => b !== 10)),
  );
  expect(await outcome(garbage)).toMatch(/ECONNRESET|EPIPE|end/);
  garbage.destroy();
  const client = await nodeClient(listener.port);
  client.end('hello\n');
  expect((await readAll(client)).toString()).toBe('5\n');
});

describe('closing a listener', () => {
  test('requests that were begun are answered', async () => {
    let release: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const listener = await listen({ port: 0 }, async (connection) => {
      for await (const line of connection.lines()) {
        await gate;
        await connection.write(`done: ${line}\n`);
      }
    });
    const client = await nodeClient(listener.port);
    client.write('job\n');
    await until(() => listener.stats.bytesIn === 4);
    const closed = listener.close();
    // The kernel completes connections on its own until the listening socket is closed.
    let refusal: unknown;
    while (refusal === undefined) {
      try {
        await (await connect({ port: listener.port })).close();
      } catch (error) {
        refusal = error;
      }
    }
    expect(refusal).toMatchObject({ code: 'SUNSTAR_ECONNREFUSED' });
    const answer = readAll(client);
    release();
    expect((await answer).toString()).toBe('done: job\n');
    client.end();
    await closed;
    expect(listener.connections.size).toBe(0);
    expect(listener.stats.resets).toBe(0);
  });

  test('what does not end is reset at the deadline', async () => {
    const listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = { onData: () => {}, onEnd: () => {} };
    });
    const client = await nodeClient(listener.port);
    const ended = outcome(client);
    await until(() => listener.connections.size === 1);
    await listener.close({ deadlineMs: 50 });
    expect(await ended).toBe('ECONNRESET');
    expect(listener.stats.resets).toBe(1);
    client.destroy();
  });

  test('callback servers without onEnd flush what they have', async () => {
    const listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = { onData: () => {} };
      connection.output.append('bye');
    });
    const client = await nodeClient(listener.port);
    await until(() => listener.connections.size === 1);
    const closed = listener.close();
    expect((await readAll(client)).toString()).toBe('bye');
    client.end();
    await closed;
    expect(listener.stats.resets).toBe(0);
  });
});

describe('addresses', () => {
  test('a port in use says so', async () => {
    await using listener = await listen({ port: 0, reusePort: false }, () => {});
    await expect(listen({ port: listener.port, reusePort: false }, () => {})).rejects.toMatchObject({
      code: 'SUNSTAR_EADDRINUSE',
      message: expect.stringContaining(`127.0.0.1:${listener.port}`) as unknown,
    });
  });

  test('with reusePort several listen on one port', async () => {
    const seen = [0, 0];
    await using first = await listen({ port: 0, reusePort: true }, () => {
      seen[0]++;
    });
    await using second = await listen({ port: first.port, reusePort: true }, () => {
      seen[1]++;
    });
    expect(second.port).toBe(first.port);
    const clients = await Promise.all(Array.from({ length: 64 }, () => nodeClient(first.port)));
    await until(() => seen[0] + seen[1] === 64);
    // The kernel hashes the peer's port: all on one side has a chance of 2^-63.
    expect(Math.min(...seen)).toBeGreaterThan(0);
    for (const client of clients) client.end();
    for (const connection of [...first.connections, ...second.connections]) void connection.close();
    await Promise.all(clients.map((client) => once(client.resume(), 'end')));
  });

  test('an address of another machine is refused', async () => {
    await expect(listen({ port: 0, host: '192.0.2.1' }, () => {})).rejects.toMatchObject({
      code: 'SUNSTAR_EADDRNOTAVAIL',
    });
  });
});
