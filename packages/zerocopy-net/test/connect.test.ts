import { native } from '@sunstar/native';
import { attach } from '@sunstar/runtime';
import { connect, listen, networkStats } from '@sunstar/zerocopy-net';
import { afterEach, expect, test } from 'vitest';
import { leakCheck } from './support/leaks.ts';
import { nodeClient, readAll, until } from './support/peer.ts';

const shard = attach({ memory: '64MiB' });
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

/** A listening socket whose queue is full: the kernel answers no further SYN. */
async function blackHole(): Promise<{ port: number; [Symbol.asyncDispose](): Promise<void> }> {
  const fd = native.tcpListen('127.0.0.1', 0, false, 0, false);
  const name = native.socketName(fd);
  if (typeof name === 'number') throw new Error('no name');
  const waiting = await nodeClient(name.port);
  return {
    port: name.port,
    async [Symbol.asyncDispose]() {
      waiting.destroy();
      await shard.reactor.closeAndWait(fd);
    },
  };
}

test('a refused connection says so', async () => {
  let port: number;
  {
    await using listener = await listen({ port: 0 }, () => {});
    port = listener.port;
  }
  await expect(connect({ port })).rejects.toMatchObject({
    code: 'SUNSTAR_ECONNREFUSED',
    syscall: 'connect',
    message: expect.stringContaining(`127.0.0.1:${port}`) as unknown,
  });
});

test('the time limit holds', async () => {
  await using hole = await blackHole();
  await expect(connect({ port: hole.port, timeoutMs: 100 })).rejects.toMatchObject({
    code: 'SUNSTAR_CONNECT_TIMEOUT',
  });
});

test('a signal ends the attempt', async () => {
  await using hole = await blackHole();
  const controller = new AbortController();
  const attempt = connect({ port: hole.port, signal: controller.signal });
  setTimeout(() => controller.abort(new Error('changed my mind')), 20);
  await expect(attempt).rejects.toMatchObject({
    code: 'SUNSTAR_CONNECT_ABORTED',
    cause: expect.objectContaining({ message: 'changed my mind' }) as unknown,
  });
  await expect(connect({ port: hole.port, signal: controller.signal })).rejects.toMatchObject({
    code: 'SUNSTAR_CONNECT_ABORTED',
  });
});

test('a signal that was aborted before holds for a path too', async () => {
  const path = `@sunstar-aborted-${process.pid}`;
  await using listener = await listen({ path }, () => {});
  await expect(connect({ path, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'SUNSTAR_CONNECT_ABORTED',
  });
  expect(listener.stats.accepted).toBe(0);
});

test('an address that is none is refused with what it should be', async () => {
  const none = null as unknown as string;
  for (const [options, message] of [
    [{}, 'port must be a whole number from 1 to 65535, unless there is a path; it is undefined.'],
    [{ port: 0 }, 'port must be a whole number from 1 to 65535; it is 0.'],
    [{ port: 1, host: '' }, 'host must be a name or an address of 1 to 254 characters; it is .'],
    [{ port: 1, host: none }, 'host must be'],
    [{ port: 1, host: 'a'.repeat(255) }, 'host must be'],
    // The system's function would look up what is in front of it.
    [{ port: 1, host: '127.0.0.1\0.example' }, 'host must be'],
    [{ path: none }, 'path must be text; it is null.'],
    [{ path: '' }, 'path must be a path of 1 to 107 bytes'],
  ] as const) {
    await expect(connect(options)).rejects.toMatchObject({
      code: 'SUNSTAR_INVALID_OPTION',
      message: expect.stringContaining(message) as unknown,
    });
  }
});

test('names are looked up, and every address is tried', async () => {
  await using listener = await listen({ port: 0, host: '127.0.0.1' }, async (connection) => {
    await connection.write('here');
  });
  // Where localhost is ::1 first, nobody listens there.
  const connection = await connect({ host: 'localhost', port: listener.port });
  using greeting = await connection.readExactly(4);
  expect(greeting.toString()).toBe('here');
  await connection.close();
});

test('an unknown name says so', async () => {
  await expect(connect({ host: 'no-such-host.invalid', port: 1 })).rejects.toMatchObject({
    code: 'SUNSTAR_HOST_NOT_FOUND',
  });
});

test('IPv6 works in both directions', async () => {
  await using listener = await listen({ port: 0, host: '::1' }, async (connection) => {
    expect(connection.remoteAddress).toBe('::1');
    await connection.write('six');
  });
  expect(listener.address).toBe('::1');
  const connection = await connect({ host: '::1', port: listener.port });
  using answer = await connection.readExactly(3);
  expect(answer.toString()).toBe('six');
  await connection.close();
});

test('an IPv6 wildcard takes IPv4 peers too, unless told not to', async () => {
  await using both = await listen({ port: 0, host: '::' }, async (connection) => {
    expect(connection.remoteAddress).toBe('::ffff:127.0.0.1');
    await connection.write('x');
  });
  const client = await nodeClient(both.port);
  expect((await readAll(client)).toString()).toBe('x');
  client.end();
  await using six = await listen({ port: 0, host: '::', ipv6Only: true }, () => {});
  await expect(connect({ port: six.port })).rejects.toMatchObject({ code: 'SUNSTAR_ECONNREFUSED' });
});

test('TCP_NODELAY is on by default on both sides, and can be turned off', async () => {
  // TCP_NODELAY of IPPROTO_TCP, read by the descriptor: the connections' own are the newest two.
  const noDelays = (): number[] =>
    Array.from({ length: 1024 }, (_, fd) => native.getSocketOption(fd, 6, 1)).filter((value) => value >= 0);
  await using listener = await listen({ port: 0 }, () => {});
  const connection = await connect({ port: listener.port });
  await until(() => listener.connections.size === 1);
  expect(noDelays().filter((value) => value === 0)).toEqual([]);
  connection.setNoDelay(false);
  expect(noDelays().filter((value) => value === 0)).toHaveLength(1);
  for (const accepted of listener.connections) accepted.reset();
  await connection.close();
  expect(networkStats().open).toBe(0);
});
