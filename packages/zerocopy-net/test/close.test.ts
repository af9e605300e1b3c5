import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { attach, type SunstarError } from '@sunstar/runtime';
import { type Connection, connect, listen } from '@sunstar/zerocopy-net';
import { afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from './support/leaks.ts';
import { nodeClient, outcome, readAll, sha256, until } from './support/peer.ts';

const shard = attach({ memory: '64MiB' });
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

/** Keeps what happens to each connection. */
class Recorder {
  readonly connections: Connection[] = [];
  readonly data: Buffer[] = [];
  ends = 0;
  readonly closes: (SunstarError | null)[] = [];

  readonly serve = (connection: Connection): void => {
    this.connections.push(connection);
    connection.receiver = this;
  };

  onData(_connection: Connection, offset: number, length: number): void {
    this.data.push(Buffer.from(shard.memory.bytes.subarray(offset, offset + length)));
  }

  onEnd(_connection: Connection): void {
    this.ends++;
  }

  onClose(_connection: Connection, error: SunstarError | null): void {
    this.closes.push(error);
  }
}

describe('half-close', () => {
  test('the peer ends first: we can still send', async () => {
    const recorder = new Recorder();
    await using listener = await listen({ port: 0 }, recorder.serve);
    const client = await nodeClient(listener.port);
    client.end('last words');
    await until(() => recorder.ends === 1);
    expect(Buffer.concat(recorder.data).toString()).toBe('last words');
    const [connection] = recorder.connections;
    expect(connection.isWritable).toBe(true);
    await connection.write('an answer ');
    await connection.write('in two parts');
    connection.end();
    expect((await readAll(client)).toString()).toBe('an answer in two parts');
    // Both directions have ended: nothing is left to do, without a call of close().
    await connection.closed;
    expect(recorder.closes).toEqual([null]);
  });

  test('we end first: the peer can still send', async () => {
    const recorder = new Recorder();
    await using listener = await listen({ port: 0 }, (connection) => {
      recorder.serve(connection);
      connection.output.append('greeting');
      connection.end();
    });
    const client = await nodeClient(listener.port);
    expect((await readAll(client)).toString()).toBe('greeting');
    const [connection] = recorder.connections;
    expect(connection.isWritable).toBe(false);
    await expect(connection.write('more')).rejects.toMatchObject({ code: 'SUNSTAR_WRITE_AFTER_END' });
    const data = randomBytes(1_000_000);
    client.end(data);
    await connection.closed;
    expect(sha256(Buffer.concat(recorder.data))).toBe(sha256(data));
    expect(recorder.ends).toBe(1);
    expect(recorder.closes).toEqual([null]);
  });

  test('a receiver without onEnd closes after the peer', async () => {
    await using listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = {
        onData(c) {
          c.output.append('reply');
          c.flush();
        },
      };
    });
    const client = await nodeClient(listener.port);
    client.end('request');
    expect((await readAll(client)).toString()).toBe('reply');
    await until(() => listener.stats.open === 0);
    expect(listener.stats.errors + listener.stats.resets).toBe(0);
  });
});

describe('close', () => {
  test('sends everything that is waiting, although the peer goes on sending', async () => {
    const data = randomBytes(5_000_000);
    let closed: Promise<void> | undefined;
    await using listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = { onData: () => {} };
      connection.output.append(data);
      closed = connection.close();
    });
    const client = await nodeClient(listener.port);
    // Unread bytes at close() would make the kernel send RST and destroy our last bytes.
    client.write(randomBytes(2_000_000));
    expect(sha256(await readAll(client))).toBe(sha256(data));
    client.end();
    await closed;
    expect(listener.stats.forcedCloses).toBe(0);
    expect(listener.stats.bytesOut).toBe(data.length);
  });

  test('gives up after closeTimeoutMs: the peer does not read', async () => {
    const recorder = new Recorder();
    await using listener = await listen({ port: 0, closeTimeoutMs: 100 }, recorder.serve);
    const client = await nodeClient(listener.port);
    client.pause();
    await until(() => recorder.connections.length === 1);
    const [connection] = recorder.connections;
    connection.output.append(randomBytes(20_000_000));
    await connection.close();
    expect(connection.isClosed).toBe(true);
    expect(connection.error?.code).toBe('SUNSTAR_CLOSE_TIMEOUT');
    expect(listener.stats.forcedCloses).toBe(1);
    client.destroy();
  });

  test('gives up after closeTimeoutMs: the peer does not end', async () => {
    const recorder = new Recorder();
    await using listener = await listen({ port: 0, closeTimeoutMs: 100 }, recorder.serve);
    const client = await nodeClient(listener.port);
    const answer = readAll(client);
    await until(() => recorder.connections.length === 1);
    const [connection] = recorder.connections;
    connection.output.append('bye');
    await connection.close();
    // All was sent: that the peer lingers is no error.
    expect(connection.error).toBeNull();
    expect((await answer).toString()).toBe('bye');
    expect(listener.stats.forcedCloses).toBe(1);
    client.destroy();
  });

  test('twice, and after the end, is harmless', async () => {
    await using listener = await listen({ port: 0 }, () => {});
    const connection = await connect({ port: listener.port });
    for (const server of listener.connections) void server.close();
    await Promise.all([connection.close(), connection.close()]);
    await connection.close();
    connection.reset();
    connection.end();
    connection.pauseReading();
    connection.resumeReading();
    expect(connection.localPort).toBeUndefined();
    await expect(connection.write('x')).rejects.toMatchObject({ code: 'SUNSTAR_CONNECTION_CLOSED' });
    await expect(connection.read()).rejects.toMatchObject({ code: 'SUNSTAR_CONNECTION_CLOSED' });
    // A server that answers late: the reply goes nowhere, and no memory is lost.
    connection.output.append('too late');
    connection.flush();
    expect(connection.pendingOutputBytes).toBe(0);
  });

  test('with a receive, a send and reads in flight', async () => {
    const recorder = new Recorder();
    await using listener = await listen({ port: 0 }, recorder.serve);
    for (let i = 0; i < 50; i++) {
      const connection = await connect({ port: listener.port });
      const reading = connection.read().catch((error: SunstarError) => error.code);
      const writing = connection.write(randomBytes(3_000_000)).catch((error: SunstarError) => error.code);
      if (i % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      connection.reset();
      await connection.closed;
      expect(await reading).toMatch(/SUNSTAR_CONNECTION_(RESET|CLOSED)/);
      expect([undefined, 'SUNSTAR_CONNECTION_RESET']).toContain(await writing);
    }
    await until(() => listener.stats.open === 0);
  });
});

describe('reset', () => {
  test('ours is seen by the peer', async () => {
    const recorder = new Recorder();
    await using listener = await listen({ port: 0 }, recorder.serve);
    const client = await nodeClient(listener.port);
    const ended = outcome(client);
    await until(() => recorder.connections.length === 1);
    recorder.connections[0].reset();
    expect(await ended).toBe('ECONNRESET');
    await until(() => recorder.closes.length === 1);
    expect(recorder.closes[0]?.code).toBe('SUNSTAR_CONNECTION_RESET');
    expect(listener.stats.resets).toBe(1);
    client.destroy();
  });

  test("the peer's, in the middle of our send", async () => {
    const recorder = new Recorder();
    await using listener = await listen({ port: 0 }, recorder.serve);
    const client = await nodeClient(listener.port);
    client.pause();
    await until(() => recorder.connections.length === 1);
    const [connection] = recorder.connections;
    const writing = connection.write(randomBytes(20_000_000));
    await until(() => listener.stats.bytesOut > 0);
    client.resetAndDestroy();
    await expect(writing).rejects.toMatchObject({
      code: expect.stringMatching(/SUNSTAR_(ECONNRESET|EPIPE)/) as unknown,
    });
    await connection.closed;
    expect(recorder.closes).toHaveLength(1);
    expect(connection.error?.code).toMatch(/SUNSTAR_(ECONNRESET|EPIPE)/);
    expect(listener.stats.errors).toBe(1);
  });

  test("the peer's, while we read", async () => {
    await using listener = await listen({ port: 0 }, () => {});
    const { port } = listener;
    const client = await nodeClient(port);
    await until(() => listener.connections.size === 1);
    const [connection] = listener.connections;
    const reading = connection.read();
    client.resetAndDestroy();
    await expect(reading).rejects.toMatchObject({ code: 'SUNSTAR_ECONNRESET', syscall: 'recv' });
  });
});

test('pausing stops delivery, resuming loses nothing', async () => {
  const recorder = new Recorder();
  await using listener = await listen({ port: 0 }, recorder.serve);
  const client = await nodeClient(listener.port);
  const data = randomBytes(3_000_000);
  client.end(data);
  for (let i = 0; recorder.ends === 0; i++) {
    await until(() => recorder.connections.length === 1 && (recorder.data.length > i || recorder.ends === 1));
    const [connection] = recorder.connections;
    connection.pauseReading();
    const { length } = recorder.data;
    const ends = recorder.ends;
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(recorder.data.length).toBe(length);
    expect(recorder.ends).toBe(ends);
    connection.resumeReading();
  }
  expect(sha256(Buffer.concat(recorder.data))).toBe(sha256(data));
  void recorder.connections[0].close();
  await once(client.resume(), 'end');
});
