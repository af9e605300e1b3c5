import { randomBytes } from 'node:crypto';
import v8 from 'node:v8';
import vm from 'node:vm';
import { IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { type Connection, type ListenOptions, listen, networkStats } from '@sunstar/zerocopy-net';
import { checkNetwork, resume, zeroCopyTestHooks } from '@sunstar/zerocopy-net/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from '../support/leaks.ts';
import { nodeClient, readAll, sha256 } from '../support/peer.ts';
import { PoisonedBlocks, verify } from './poisoned.ts';

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

const shard = attach({ memory: '64MiB' });
const hooks = zeroCopyTestHooks();
const blocks = new PoisonedBlocks(shard.memory);
const nothingIsLeft = await leakCheck(shard);
let before = networkStats().zeroCopy;
afterEach(async () => {
  resume(hooks);
  await nothingIsLeft();
  checkNetwork();
  expect(networkStats().zeroCopy).toMatchObject({ inFlight: 0, heldBytes: 0, wrongNotifications: 0 });
});

/** What a peer receives of what `write` writes to it. */
async function received(
  options: Partial<ListenOptions>,
  write: (connection: Connection) => Promise<void> | void,
): Promise<Buffer> {
  before = networkStats().zeroCopy;
  await using listener = await listen({ port: 0, ...options }, async (connection) => {
    await write(connection);
    await connection.close();
  });
  const client = await nodeClient(listener.port);
  const all = await readAll(client);
  client.end();
  return all;
}

const sends = (): number => networkStats().zeroCopy.sends - before.sends;
const copied = (reason: keyof typeof before.copied): number =>
  networkStats().zeroCopy.copied[reason] - before.copied[reason];

describe('which output is sent without a copy', () => {
  const data = randomBytes(300_000);

  test('none to a peer on this machine, and the stats say why', async () => {
    const answer = await received({}, (connection) => connection.write(data));
    expect(sha256(answer)).toBe(sha256(data));
    expect(sends()).toBe(0);
    expect(copied('localPeer')).toBeGreaterThan(0);
  });

  test('all of it when that is asked for', async () => {
    const answer = await received({ zeroCopy: 'always' }, (connection) => connection.write(data));
    expect(sha256(answer)).toBe(sha256(data));
    expect(sends()).toBeGreaterThan(0);
    expect(networkStats().zeroCopy.bytes - before.bytes).toBeGreaterThan(data.length / 2);
  });

  test('none when that is asked for', async () => {
    await received({ zeroCopy: 'never' }, (connection) => connection.write(data));
    expect(sends()).toBe(0);
    expect(networkStats().zeroCopy.copied).toEqual(before.copied);
  });

  test('pieces from the threshold up, each for itself', async () => {
    const write = (connection: Connection): Promise<void> => connection.write(blocks.make(0, 16_384));
    await received({ zeroCopy: 'always' }, write);
    expect(sends()).toBe(0);
    await received({ zeroCopy: 'always', zeroCopyThresholdBytes: 10_240 }, write);
    expect(sends()).toBe(1);
  });

  test('the smallest: empty writes, single bytes, more pieces than the kernel takes at once', async () => {
    const answer = await received({ zeroCopy: 'always', zeroCopyThresholdBytes: 1 }, async (connection) => {
      await connection.write('');
      await connection.write(new IOBuf(shard.memory));
      connection.output.append('a');
      connection.flush();
      for (let i = 0; i < 3000; i++) {
        const piece = IOBuf.from(String(i % 10), shard.memory);
        // A share's memory is nobody else's to append to: each stays a piece of its own.
        using share = piece.share();
        connection.output.take(share);
        piece[Symbol.dispose]();
      }
      await connection.write('z');
    });
    expect(answer.toString()).toBe(`a${Array.from({ length: 3000 }, (_, i) => i % 10).join('')}z`);
    expect(sends()).toBeGreaterThan(0);
  });

  test('none outside of the shard memory', async () => {
    const answer = await received({ zeroCopy: 'always' }, (connection) => {
      return connection.write(IOBuf.wrap(data, undefined, shard.memory));
    });
    expect(sha256(answer)).toBe(sha256(data));
    expect(sends()).toBe(0);
    expect(copied('foreignMemory')).toBeGreaterThan(0);
  });

  test('what is written in the meantime keeps its order', async () => {
    let expected = Buffer.alloc(0);
    const answer = await received({ zeroCopy: 'always' }, async (connection) => {
      const parts: Buffer[] = [];
      for (let i = 0; i < 60; i++) {
        const part = randomBytes(i % 3 === 0 ? 100_000 : 50 * i + 1);
        parts.push(part);
        await connection.write(part);
        if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      expected = Buffer.concat(parts);
    });
    expect(sha256(answer)).toBe(sha256(expected));
    expect(sends()).toBeGreaterThan(0);
  });
});

describe('the memory itself is held', () => {
  test('when every buffer over it was dropped, moved away and collected', async () => {
    hooks.isPaused = true;
    await using listener = await listen({ port: 0, zeroCopy: 'always' }, (connection) => {
      for (let i = 0; i < 40; i++) {
        const block = blocks.make(i * 65_536, 65_536);
        // A share that ends at once, and a buffer that is moved and forgotten.
        block.share()[Symbol.dispose]();
        connection.output.take(block.move());
      }
      connection.flush();
      void connection.close();
    });
    const client = await nodeClient(listener.port);
    const verdict = verify(client);
    for (let i = 0; i < 5; i++) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await verdict).toEqual({ receivedBytes: 40 * 65_536, badBytes: 0 });
    expect(blocks.held).toBe(40);
    client.end();
    resume(hooks);
    await listener.close();
    expect(blocks.held).toBe(0);
  });

  test('a wrapped array that is transferred away is an error, and no garbage', async () => {
    const bytes = new Uint8Array(200_000);
    const seen: (string | undefined)[] = [];
    const answer = await received({ zeroCopy: 'always' }, (connection) => {
      connection.output.wrap(bytes);
      connection.flush();
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      void connection.closed.then(() => seen.push(connection.error?.code));
    }).catch((error: NodeJS.ErrnoException) => error.code);
    expect(answer).toBe('ECONNRESET');
    expect(seen).toEqual(['SUNSTAR_IOBUF_DETACHED']);
  });

  test('as much as maxHeldBytes at most: the rest is copied', async () => {
    const { heldBytes } = networkStats().zeroCopy;
    expect(heldBytes).toBe(0);
    hooks.isPaused = true;
    before = networkStats().zeroCopy;
    let connection: Connection | undefined;
    await using listener = await listen({ port: 0, zeroCopy: 'always' }, async (accepted) => {
      connection = accepted;
      // Twice the limit, which is a quarter of the shard's memory, while nothing is notified.
      const block = blocks.make(0, 65_536);
      for (let i = 0; i < 512; i++) {
        using share = block.share();
        await accepted.write(share);
      }
      block[Symbol.dispose]();
    });
    const client = await nodeClient(listener.port);
    let receivedBytes = 0;
    client.on('data', (data: Buffer) => {
      receivedBytes += data.length;
    });
    while (receivedBytes < 512 * 65_536) {
      expect(networkStats().zeroCopy.heldBytes).toBeLessThanOrEqual(16 * 1024 * 1024);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(copied('heldMemory')).toBeGreaterThan(0);
    resume(hooks);
    client.end();
    await connection?.closed;
  });
});
