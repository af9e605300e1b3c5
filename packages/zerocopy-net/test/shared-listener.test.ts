// Two that accept from one listening socket, as two processes do while one takes over from the other. The kernel wakes
// only one of them for a connection.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { native } from '@sunstar/native';
import { attach } from '@sunstar/runtime';
import { afterAll, expect, test } from 'vitest';
import { AcceptSocket } from '../src/accept-socket.ts';
import { currentNetwork } from '../src/network.ts';
import { connectionLimits } from '../src/options.ts';
import { until } from './support/peer.ts';

attach({ memory: '16MiB', log: 'silent' });
const directory = mkdtempSync(join(tmpdir(), 'sunstar-shared-listener-'));
const path = join(directory, 'socket');
afterAll(() => rmSync(directory, { recursive: true }));

const limits = connectionLimits({});
const socket = { path, host: '', port: 0, ipv6Only: false, reusePort: false, backlog: 64, limits };

/** One that accepts, from a socket of its own or from that of another. */
function accepting(accepted: number[], shared?: AcceptSocket): AcceptSocket {
  const inheritedFd = shared === undefined ? null : native.duplicateDescriptor(shared.fd);
  return new AcceptSocket(currentNetwork(), { ...socket, inheritedFd, beforeClose: () => {} }, (fd) =>
    accepted.push(fd),
  );
}

/** A client that is connected when this returns, though nobody had the time to accept it. */
function connect(): number {
  const fd = native.unixConnect(path, 1000);
  expect(fd).toBeGreaterThan(0);
  return fd;
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a connection for which the one that stops was woken is accepted', async () => {
  for (let round = 0; round < 20; round++) {
    const accepted: number[] = [];
    const first = accepting(accepted);
    const second = accepting(accepted, first);
    await tick();
    const client = connect();
    // Armed first, so woken first; its accept is cancelled before it runs.
    await first.stop(true);
    await until(() => accepted.length === 1);
    await second.stop(false);
    for (const fd of [client, ...accepted]) native.closeDescriptor(fd);
  }
});

test('a connection for which one was woken that ended is accepted when the other looks again', async () => {
  const lost: number[] = [];
  const accepted: number[] = [];
  const ending = accepting(lost);
  const other = accepting(accepted, ending);
  await tick();
  const client = connect();
  await ending.stop(false);
  other.lookAgain();
  await until(() => accepted.length === 1);
  expect(lost).toEqual([]);
  // It goes on accepting. The path went with the socket that ended.
  await other.stop(true);
  for (const fd of [client, ...accepted]) native.closeDescriptor(fd);
});
