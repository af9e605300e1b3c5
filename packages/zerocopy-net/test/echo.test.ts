import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { type Connection, connect, listen, networkStats, type Receiver } from '@sunstar/zerocopy-net';
import { afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from './support/leaks.ts';
import { nodeClient, readAll, sha256, until } from './support/peer.ts';

const shard = attach({ memory: '64MiB' });

/** Answers with the same bytes, which `answer` puts into the output; slows the peer down instead of buffering without limit. */
function echoing(answer: (connection: Connection, offset: number, length: number) => void): Receiver {
  return {
    onData(connection, offset, length) {
      answer(connection, offset, length);
      connection.flush();
      if (connection.pendingOutputBytes > 1_000_000) connection.pauseReading();
    },
    onDrain(connection) {
      connection.resumeReading();
    },
  };
}

/** The ways in which an answer can be made of what was received. */
const copied = echoing((connection, offset, length) => connection.output.appendRange(offset, length));
const moved = echoing((connection) => {
  using piece = connection.retain();
  connection.output.take(piece);
});
const kept = echoing((connection) => connection.retain(connection.output));

function serveEcho(connection: Connection): void {
  connection.receiver = copied;
}

const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

describe('echo', () => {
  test('of memory outside of the arena', async () => {
    await using listener = await listen({ port: 0 }, serveEcho);
    const connection = await connect({ port: listener.port });
    let released = 0;
    for (const pieces of [1, 3]) {
      const message = new IOBuf();
      for (let i = 0; i < pieces; i++) message.wrap(Buffer.from(`piece ${i};`), () => released++);
      const expected = message.toString();
      await connection.write(message);
      using answer = await connection.readExactly(expected.length);
      expect(answer.toString()).toBe(expected);
      message[Symbol.dispose]();
    }
    await connection.close();
    await until(() => listener.stats.open === 0);
    expect(released).toBe(4);
  });

  test('small messages, one after the other', async () => {
    await using listener = await listen({ port: 0 }, serveEcho);
    const client = await nodeClient(listener.port);
    client.setNoDelay();
    for (const message of ['a', 'hello', 'x'.repeat(4096), 'y'.repeat(4097)]) {
      client.write(message);
      let answer = '';
      while (answer.length < message.length) {
        const [piece] = (await once(client, 'data')) as [Buffer];
        answer += piece.toString();
      }
      expect(answer).toBe(message);
    }
    client.end();
    await once(client, 'end');
    await until(() => listener.stats.open === 0);
    expect(listener.stats.accepted).toBe(1);
    expect(listener.stats.bytesIn).toBe(1 + 5 + 4096 + 4097);
    expect(listener.stats.bytesOut).toBe(listener.stats.bytesIn);
    expect(listener.stats.errors + listener.stats.resets).toBe(0);
  });

  test.each([
    ['copied', copied, 200_000],
    ['kept in a buffer, and moved into the output', moved, 10_000_000],
    ['kept in the output', kept, 20_000],
  ])('10 MB each way in chunks of any size: %s', async (_name, receiver, maxChunkBytes) => {
    await using listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = receiver;
    });
    const client = await nodeClient(listener.port);
    const data = randomBytes(10_000_000);
    const answer = readAll(client);
    for (let at = 0; at < data.length; ) {
      const end = Math.min(data.length, at + randomInt(1, maxChunkBytes));
      if (!client.write(data.subarray(at, end))) await once(client, 'drain');
      at = end;
    }
    client.end();
    expect(sha256(await answer)).toBe(sha256(data));
    expect(networkStats().receivePiecesHeld).toBe(0);
  });

  test('what is kept in the output leaves without a copy, unless something waits before it', async () => {
    const held: number[] = [];
    const waiting = Buffer.alloc(8_000_000, 'w');
    await using listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = {
        onData(c) {
          if (held.length === 1) c.output.append(waiting);
          expect(c.retain(c.output)).toBe(c.output);
          // The piece that is looked at counts too.
          held.push(networkStats().receivePiecesHeld - 1);
          c.flush();
        },
      };
    });
    const client = await nodeClient(listener.port);
    const say = async (text: string): Promise<void> => {
      const count = held.length;
      client.write(text);
      await until(() => held.length > count);
    };
    await say('a');
    expect(String((await once(client, 'data'))[0])).toBe('a');
    client.pause();
    // A send that is over at once is known to be in the tick after.
    await until(() => networkStats().receivePiecesHeld === 0);
    await say('b');
    await say('c');
    const answer = readAll(client);
    client.end();
    const received = await answer;
    expect(received.length).toBe(waiting.length + 2);
    expect(received.subarray(-2).toString()).toBe('bc');
    expect(held).toEqual([1, 0, 0]);
    expect(networkStats().receivePiecesHeld).toBe(0);
  });

  test('500 connections at once', async () => {
    await using listener = await listen({ port: 0 }, serveEcho);
    const clients = await Promise.all(Array.from({ length: 500 }, () => nodeClient(listener.port)));
    await until(() => listener.stats.open === 500);
    await Promise.all(
      clients.map(async (client, i) => {
        const data = randomBytes(10_000 + i);
        const answer = readAll(client);
        client.write(data.subarray(0, 5000));
        client.end(data.subarray(5000));
        expect(sha256(await answer)).toBe(sha256(data));
      }),
    );
    expect(listener.stats.accepted).toBe(500);
  });

  test('between two connections of our own, with promises on both sides', async () => {
    await using listener = await listen({ port: 0 }, async (connection) => {
      for await (const piece of connection) await connection.write(piece);
    });
    await using connection = await connect({ port: listener.port });
    const data = randomBytes(3_000_000);
    const received: Buffer[] = [];
    const reading = (async (): Promise<void> => {
      for await (const piece of connection) received.push(piece.toBuffer());
    })();
    for (let at = 0; at < data.length; at += 50_000) await connection.write(data.subarray(at, at + 50_000));
    connection.end();
    await reading;
    expect(sha256(Buffer.concat(received))).toBe(sha256(data));
    expect(connection.localPort).toBeGreaterThan(0);
    expect(connection.remotePort).toBe(listener.port);
    expect(connection.remoteAddress).toBe('127.0.0.1');
  });

  test('many small fragments leave in order', async () => {
    await using listener = await listen({ port: 0 }, (connection) => {
      connection.receiver = {
        onData(c) {
          // Each link is a fragment of its own: far more than one send can carry.
          for (let i = 0; i < 1000; i++) {
            using piece = IOBuf.from(`${i},`);
            c.output.link(piece);
          }
          c.flush();
          void c.close();
        },
      };
    });
    const client = await nodeClient(listener.port);
    client.write('go');
    const answer = await readAll(client);
    client.end();
    expect(answer.toString()).toBe(Array.from({ length: 1000 }, (_, i) => `${i},`).join(''));
  });
});
