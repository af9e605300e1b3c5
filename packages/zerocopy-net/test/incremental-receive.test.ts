import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { configureNetwork, connect, listen, networkStats } from '@sunstar/zerocopy-net';
import { checkNetwork } from '@sunstar/zerocopy-net/testing';
import { afterEach, expect, test } from 'vitest';
import { leakCheck } from './support/leaks.ts';
import { nodeClient, readAll, sha256, until } from './support/peer.ts';

const shard = attach({ memory: '64MiB' });
configureNetwork({ receiveBufferBytes: 131_072, receiveBufferCount: 8 });
const nothingIsLeft = await leakCheck(shard);
afterEach(async () => {
  await nothingIsLeft();
  checkNetwork();
});

test('pieces of many connections share a buffer', async () => {
  // A kernel before 6.12 would say so here.
  expect(networkStats().incrementalReceive).toBe(true);
  let smallestFree = Number.POSITIVE_INFINITY;
  await using listener = await listen({ port: 0 }, (connection) => {
    connection.receiver = {
      onData(c, offset, length) {
        smallestFree = Math.min(smallestFree, networkStats().receiveBuffersFree);
        c.output.appendRange(offset, length);
        c.flush();
      },
    };
  });
  const clients = await Promise.all(Array.from({ length: 100 }, () => nodeClient(listener.port)));
  for (let round = 0; round < 20; round++) {
    const answers = clients.map((client) => once(client, 'data'));
    clients.forEach((client, i) => {
      client.write(`round ${round} of client ${i}`);
    });
    const received = await Promise.all(answers);
    received.forEach(([data], i) => {
      expect(String(data)).toBe(`round ${round} of client ${i}`);
    });
  }
  // 100 connections had input at the same time. Of 8 buffers each of them would have taken one.
  expect(smallestFree).toBeGreaterThanOrEqual(6);
  expect(listener.stats.bufferPoolExhausted).toBe(0);
  for (const client of clients) client.destroy();
  await until(() => listener.stats.open === 0);
});

test('kept pieces of buffers that others go on to fill stay as they are, and each goes back with its last piece', async () => {
  const kept = new Map<number, IOBuf[]>();
  await using listener = await listen({ port: 0 }, (connection) => {
    const pieces: IOBuf[] = [];
    kept.set(connection.remotePort ?? 0, pieces);
    connection.receiver = {
      onData: (c) => {
        pieces.push(c.retain());
      },
    };
  });
  // More than is copied when it is kept; all of it together, and what comes in between, is more than the pool.
  const contents = Array.from({ length: 40 }, () => randomBytes(9_000));
  const clients = await Promise.all(contents.map(() => nodeClient(listener.port)));
  clients.forEach((client, i) => {
    client.write(contents[i]);
  });
  await until(() => listener.stats.bytesIn === 40 * 9_000);
  const { receivePiecesHeld, receiveBuffersFree } = networkStats();
  expect(receivePiecesHeld).toBeGreaterThanOrEqual(30);
  // 40 pieces in three buffers, which are not full.
  expect(receiveBuffersFree).toBeGreaterThanOrEqual(5);

  // Others now use the rest of the buffers, and all the others again and again.
  await using echo = await listen({ port: 0 }, async (connection) => {
    for await (const piece of connection) await connection.write(piece);
  });
  const other = await nodeClient(echo.port);
  const much = randomBytes(4_000_000);
  const answer = readAll(other);
  other.end(much);
  expect(sha256(await answer)).toBe(sha256(much));

  clients.forEach((client, i) => {
    const pieces = kept.get(client.localPort ?? 0) ?? [];
    const whole = Buffer.concat(pieces.map((piece) => piece.toBuffer()));
    expect(whole.equals(contents[i]), `client ${i}`).toBe(true);
  });
  // In an order that is not that of their arrival.
  for (const [i, pieces] of [...kept.values()].entries())
    if (i % 3 === 1) for (const p of pieces) p[Symbol.dispose]();
  for (const [i, pieces] of [...kept.values()].entries())
    if (i % 3 !== 1) for (const p of pieces) p[Symbol.dispose]();
  expect(networkStats().receivePiecesHeld).toBe(0);
  for (const client of clients) client.destroy();
  await until(() => listener.stats.open === 0);
});

test('inputs that end while others go on', async () => {
  await using listener = await listen({ port: 0 }, async (connection) => {
    for await (const piece of connection) await connection.write(piece);
  });
  await Promise.all(
    Array.from({ length: 60 }, async (_, i) => {
      const connection = await connect({ port: listener.port });
      const content = randomBytes(1 + ((i * 7919) % 50_000));
      await connection.write(content);
      connection.end();
      const pieces: Buffer[] = [];
      for await (const piece of connection) pieces.push(piece.toBuffer());
      expect(Buffer.concat(pieces).equals(content), `connection ${i}`).toBe(true);
      await connection.close();
    }),
  );
});
