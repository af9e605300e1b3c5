import { execFileSync } from 'node:child_process';
import { native } from '@sunstar/native';
import { attach } from '@sunstar/runtime';
import { bindUdp, type Connection, connect, listen } from '@sunstar/zerocopy-net';
import { afterEach, expect, test } from 'vitest';
import { socketSettings } from '../src/socket-options.ts';
import { leakCheck } from './support/leaks.ts';
import { until } from './support/peer.ts';

const shard = attach({ memory: '64MiB' });
// What UDP keeps for good exists only after the first socket.
{
  await using _first = bindUdp({}, { onDatagram() {} });
}
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

const OPTIONS = {
  keepAlive: { idleSeconds: 31, intervalSeconds: 7, probes: 3 },
  userTimeoutMs: 12_345,
  sendBufferBytes: 100_000,
  receiveBufferBytes: 120_000,
};

/** The sockets of a port, as the kernel describes them; undefined without the program for it. */
function describe(port: number): string | undefined {
  try {
    return execFileSync('ss', ['-tnomi', `( sport = :${port} or dport = :${port} )`]).toString();
  } catch {
    return undefined;
  }
}

test('options reach outgoing connections, and accepted ones inherit them', async () => {
  let accepted: Connection | undefined;
  await using listener = await listen({ port: 0, ...OPTIONS }, (connection) => {
    accepted = connection;
  });
  const client = await connect({ port: listener.port, ...OPTIONS });
  await until(() => accepted !== undefined);
  const text = describe(listener.port);
  if (text !== undefined) {
    // One line of memory for each side: the kernel's limits of both buffers.
    expect(text.match(/rb120000/g)).toHaveLength(2);
    expect(text.match(/tb100000/g)).toHaveLength(2);
    expect(text.match(/timer:\(keepalive,(3[01]|30s|31sec)/g)?.length).toBe(2);
  }
  accepted?.reset();
  client.reset();
});

test('settings are calls by the numbers of the kernel', () => {
  expect(socketSettings({})).toEqual([]);
  expect(socketSettings({ keepAlive: false })).toEqual([]);
  expect(socketSettings({ keepAlive: true })).toEqual([
    [1, 9, 1],
    [6, 4, 60],
    [6, 5, 10],
    [6, 6, 6],
  ]);
  expect(socketSettings({ ...OPTIONS, busyPollUs: 50 })).toEqual([
    [1, 9, 1],
    [6, 4, 31],
    [6, 5, 7],
    [6, 6, 3],
    [6, 18, 12_345],
    [1, 7, 50_000],
    [1, 8, 60_000],
    [1, 46, 50],
  ]);
});

test('options out of range are refused', async () => {
  for (const options of [
    { keepAlive: { idleSeconds: 0 } },
    { keepAlive: { probes: 128 } },
    { userTimeoutMs: 0 },
    { sendBufferBytes: 100 },
    { receiveBufferBytes: 2 ** 31 },
    { busyPollUs: 1.5 },
    { zeroCopy: 'sometimes' as 'auto' },
    { zeroCopyThresholdBytes: 0 },
    { keepAlive: null as unknown as boolean },
    { onRefused: true as unknown as () => void },
  ]) {
    await expect(listen({ port: 0, ...options }, () => {})).rejects.toMatchObject({
      code: 'SUNSTAR_INVALID_OPTION',
    });
  }
});

test('a listener without a handler is refused when it is made, not with its first connection', async () => {
  await expect(listen({ port: 0 }, undefined as unknown as () => void)).rejects.toMatchObject({
    code: 'SUNSTAR_INVALID_OPTION',
    message: 'handler must be a function; it is undefined.',
  });
});

test('busy poll reaches listening, accepted, outgoing and UDP sockets', async () => {
  const options = { port: 0, busyPollUs: 57 };
  if (!mayBusyPoll()) {
    await expect(listen(options, () => {})).rejects.toMatchObject({ syscall: 'setsockopt' });
    return;
  }
  // SO_BUSY_POLL of SOL_SOCKET, read by the descriptor.
  const polled = (): number =>
    Array.from({ length: 1024 }, (_, fd) => native.getSocketOption(fd, 1, 46)).filter((us) => us === 57)
      .length;
  await using listener = await listen(options, () => {});
  expect(polled()).toBe(1);
  await using client = await connect({ ...options, port: listener.port });
  await until(() => listener.connections.size === 1);
  expect(polled()).toBe(3);
  {
    await using _udp = bindUdp(options, { onDatagram() {} });
    expect(polled()).toBe(4);
  }
  for (const accepted of listener.connections) accepted.reset();
  client.reset();
  await until(() => polled() === 1);
});

/** Raising it is for those who may administer networks. */
function mayBusyPoll(): boolean {
  const fd = native.tcpSocket(4);
  const result = native.setSocketOption(fd, 1, 46, 57);
  native.closeDescriptor(fd);
  return result === 0;
}

test('TCP_INFO tells what the kernel knows', async () => {
  await using listener = await listen({ port: 0 }, async (connection) => {
    for await (const piece of connection) await connection.write(piece);
  });
  const client = await connect({ port: listener.port });
  await client.write('x'.repeat(10_000));
  (await client.readExactly(10_000))[Symbol.dispose]();
  await until(() => (client.tcpInfo()?.bytesAcknowledged ?? 0) > 10_000);
  const info = client.tcpInfo();
  expect(info?.state).toBe(1);
  expect(info?.bytesReceived).toBe(10_000);
  expect(info?.rttUs).toBeGreaterThan(0);
  await client.close();
  expect(client.tcpInfo()).toBeUndefined();
});
