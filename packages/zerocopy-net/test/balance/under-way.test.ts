import { once } from 'node:events';
import type { ConnectionStats } from '@sunstar/zerocopy-net';
import { expect, test } from 'vitest';
import { Server } from '../support/balanced-server.ts';
import { until } from '../support/peer.ts';

/** As the documentation has it. */
const MAX_UNDER_WAY = 1024;
const BEYOND = 40;

test('at most 1,024 connections are on their way to a shard that does not answer; others get the rest', async () => {
  const gate = new SharedArrayBuffer(8);
  const [isOpen, isReached] = [0, 1];
  const words = new Int32Array(gate);
  await using server = await Server.start(2, { balance: 'client-address', gate, backlog: 4096 });
  // An address for each shard: all connections of it belong there.
  const addresses: string[] = [];
  for (let i = 1; addresses[0] === undefined || addresses[1] === undefined; i++) {
    const client = server.connect({ localAddress: `127.0.0.${i}` });
    addresses[(await client.ask('who')).shard] = `127.0.0.${i}`;
    client.socket.destroy();
  }
  const localAddress = addresses[1];
  const blocked = server.connect({ localAddress }).ask('block');
  await until(() => Atomics.load(words, isReached) === 1);

  const answered: number[] = [];
  const asked: Promise<unknown>[] = [];
  for (let i = 0; i < MAX_UNDER_WAY + BEYOND; i++) {
    const client = server.connect({ localAddress });
    asked.push(client.ask('who').then(({ shard }) => answered.push(shard)));
    // The queue of the listening socket has an end.
    if (i % 64 === 63) await once(client.socket, 'connect');
  }
  await until(() => answered.length === BEYOND);
  // The shard in between accepts and serves; the others wait.
  expect(answered).toEqual(new Array<number>(BEYOND).fill(0));

  Atomics.store(words, isOpen, 1);
  Atomics.notify(words, isOpen);
  await blocked;
  await Promise.all(asked);
  expect(answered.slice(BEYOND)).toEqual(new Array<number>(MAX_UNDER_WAY).fill(1));
  // Whatever waited is accounted for: the next one goes to its shard again.
  expect((await server.connect({ localAddress }).ask('who')).shard).toBe(1);
  const { given, lost } = await server.connect({ localAddress: addresses[0] }).ask<ConnectionStats>('stats');
  expect(given).toBeGreaterThanOrEqual(MAX_UNDER_WAY);
  expect(lost).toBe(0);
});
