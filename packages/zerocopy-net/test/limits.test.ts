import { randomBytes } from 'node:crypto';
import { attach, type SunstarError } from '@sunstar/runtime';
import { type Connection, connect, listen } from '@sunstar/zerocopy-net';
import { afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from './support/leaks.ts';
import { nodeClient, outcome, readAll, until } from './support/peer.ts';

const shard = attach({ memory: '64MiB' });
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

describe('a peer that stops reading', () => {
  test('write() waits, and goes on when the peer reads again', async () => {
    const block = randomBytes(100_000);
    let written = 0;
    let done = false;
    await using listener = await listen({ port: 0 }, async (connection) => {
      for (let i = 0; i < 200; i++) {
        await connection.write(block);
        written++;
        // The high-water mark and one write: never more in memory.
        expect(connection.pendingOutputBytes).toBeLessThanOrEqual(262_144 + block.length);
      }
      done = true;
    });
    const client = await nodeClient(listener.port);
    client.pause();
    let before = -1;
    // The kernel's buffers are full when nothing moves any more.
    while (written !== before) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(done).toBe(false);
    expect((await readAll(client)).length).toBe(200 * block.length);
    client.end();
    expect(done).toBe(true);
  });

  test('the connection is reset at maxOutputBytes', async () => {
    const closes: (SunstarError | null)[] = [];
    await using listener = await listen({ port: 0, maxOutputBytes: 1_000_000 }, (connection) => {
      connection.receiver = {
        onData(c) {
          c.output.append(randomBytes(50_000));
          c.flush();
        },
        onClose(_c, error) {
          closes.push(error);
        },
      };
    });
    const client = await nodeClient(listener.port);
    const ended = outcome(client);
    client.pause();
    while (closes.length === 0) {
      client.write('more please');
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(closes[0]?.code).toBe('SUNSTAR_OUTPUT_LIMIT');
    expect(listener.stats.outputLimitCloses).toBe(1);
    expect(listener.stats.resets).toBe(1);
    // libuv may report the reset as an end, when it comes after unread bytes.
    client.resume();
    expect(await ended).toMatch(/ECONNRESET|EPIPE|end/);
    client.destroy();
  });

  test('a write over the limit rejects', async () => {
    await using listener = await listen({ port: 0 }, () => {});
    const connection = await connect({ port: listener.port, maxOutputBytes: 1024 });
    await expect(connection.write(randomBytes(1025))).rejects.toMatchObject({ code: 'SUNSTAR_OUTPUT_LIMIT' });
    await connection.closed;
  });
});

describe('a slow reader of ours', () => {
  test('stops receiving at readAheadBytes', async () => {
    let connection: Connection | undefined;
    await using listener = await listen({ port: 0, readAheadBytes: 10_000 }, (accepted) => {
      connection = accepted;
    });
    const client = await nodeClient(listener.port);
    client.write(randomBytes(20_000_000));
    await until(() => connection !== undefined);
    using first = await connection?.readExactly(1);
    expect(first?.sizeBytes).toBe(1);
    let before = -1;
    while (listener.stats.bytesIn !== before) {
      before = listener.stats.bytesIn;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    // The rest of the receive buffers may have been filled before the receive was cancelled.
    expect(listener.stats.bytesIn).toBeLessThan(5_000_000);
    let received = 1;
    while (received < 20_000_000) {
      using piece = await connection?.read();
      received += piece?.sizeBytes ?? 0;
    }
    client.end();
    await connection?.close();
  });
});

describe('connection limit', () => {
  test('more are answered by onRefused and closed', async () => {
    await using listener = await listen(
      {
        port: 0,
        maxConnections: 2,
        onRefused(connection) {
          connection.output.append('full\n');
        },
      },
      (connection) => {
        connection.receiver = { onData: () => {} };
      },
    );
    const first = await nodeClient(listener.port);
    const second = await nodeClient(listener.port);
    await until(() => listener.connections.size === 2);
    const third = await nodeClient(listener.port);
    expect((await readAll(third)).toString()).toBe('full\n');
    third.end();
    expect(listener.stats.refused).toBe(1);
    expect(listener.stats.accepted).toBe(2);
    first.end();
    await until(() => listener.connections.size === 1);
    const fourth = await nodeClient(listener.port);
    await until(() => listener.stats.accepted === 3);
    for (const client of [second, fourth]) client.end();
  });

  test('without onRefused they are reset', async () => {
    await using listener = await listen({ port: 0, maxConnections: 1 }, () => {});
    const first = await nodeClient(listener.port);
    await until(() => listener.connections.size === 1);
    const second = await nodeClient(listener.port);
    expect(await outcome(second)).toBe('ECONNRESET');
    expect(listener.stats.refused).toBe(1);
    for (const client of [first, second]) client.destroy();
    for (const connection of listener.connections) connection.reset();
  });

  test('refused peers that do not go away are reset too', async () => {
    await using listener = await listen({ port: 0, maxConnections: 1, onRefused: () => {} }, () => {});
    const clients = await Promise.all(Array.from({ length: 100 }, () => nodeClient(listener.port)));
    const ends = await Promise.all(clients.slice(1).map(outcome));
    // Exactly 64 are answered at a time; the first one of all is the one that is served.
    expect(ends.filter((end) => end === 'end').length).toBeGreaterThan(0);
    expect(listener.stats.refused).toBe(99);
    for (const client of clients) client.destroy();
    for (const connection of listener.connections) connection.reset();
  });
});

describe('time limits', () => {
  test('idle connections are closed, busy ones are not', async () => {
    const errors: (SunstarError | null)[] = [];
    await using listener = await listen({ port: 0, idleTimeoutMs: 200 }, (connection) => {
      connection.receiver = {
        onData: () => {},
        onClose(_c, error) {
          errors.push(error);
        },
      };
    });
    const idle = await nodeClient(listener.port);
    const busy = await nodeClient(listener.port);
    const beat = setInterval(() => busy.write('.'), 20);
    expect(await outcome(idle)).toBe('end');
    await until(() => errors.length === 1);
    clearInterval(beat);
    expect(errors[0]?.code).toBe('SUNSTAR_IDLE_TIMEOUT');
    expect(listener.stats.idleCloses).toBe(1);
    for (const client of [idle, busy]) client.end();
  });

  test('a peer that says nothing is reset', async () => {
    await using listener = await listen({ port: 0, firstByteTimeoutMs: 100 }, (connection) => {
      connection.receiver = { onData: () => {} };
    });
    const silent = await nodeClient(listener.port);
    const talker = await nodeClient(listener.port);
    talker.write('.');
    expect(await outcome(silent)).toBe('ECONNRESET');
    expect(listener.stats.firstByteCloses).toBe(1);
    await until(() => listener.stats.open === 1);
    for (const client of [silent, talker]) client.end();
  });
});

test('options out of range are refused', async () => {
  const invalid = { code: 'SUNSTAR_INVALID_OPTION' };
  for (const options of [
    { port: -1 },
    { port: 65_536 },
    { port: 1.5 },
    { port: 0, backlog: 0 },
    { port: 0, maxConnections: 0 },
    { port: 0, idleTimeoutMs: -1 },
    { port: 0, maxOutputBytes: 10 },
    { port: 0, maxOutputBytes: 2048, outputHighWaterBytes: 4096 },
    { port: 0, host: 'localhost' },
  ]) {
    await expect(
      listen(options, () => {}),
      JSON.stringify(options),
    ).rejects.toMatchObject(invalid);
  }
  await expect(connect({ port: 0 })).rejects.toMatchObject(invalid);
  await expect(connect({ port: 1, timeoutMs: 0 })).rejects.toMatchObject(invalid);
});
