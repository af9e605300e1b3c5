import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { bindUdp, configureNetwork, networkStats, type UdpReceiver } from '@sunstar/zerocopy-net';
import { checkNetwork } from '@sunstar/zerocopy-net/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../support/peer.ts';

const shard = attach({ memory: '64MiB', log: 'silent' });
// Large enough for joined datagrams.
configureNetwork({ datagramBufferBytes: 131_072, datagramBufferCount: 32 });
{
  await using _first = bindUdp({}, { onDatagram() {} });
}
const usedBytes = shard.memory.stats().usedBytes;
const descriptors = readdirSync('/proc/self/fd').length;
afterEach(async () => {
  await until(() => networkStats().receiveBuffersFree === networkStats().receiveBufferCount);
  await until(() => shard.memory.stats().usedBytes <= usedBytes);
  await until(() => readdirSync('/proc/self/fd').length <= descriptors);
  checkNetwork();
});

/** Keeps what arrives. */
class Inbox implements UdpReceiver {
  readonly datagrams: Buffer[] = [];
  readonly from: string[] = [];
  closes = 0;
  onDatagram(_socket: unknown, datagram: Parameters<UdpReceiver['onDatagram']>[1]): void {
    this.datagrams.push(Buffer.from(datagram.bytes));
    this.from.push(`${datagram.address} ${datagram.port}`);
  }
  onClose(): void {
    this.closes++;
  }
}

async function nodeSocket(type: 'udp4' | 'udp6', host: string): Promise<Socket> {
  const socket = createSocket(type);
  socket.bind(0, host);
  await once(socket, 'listening');
  return socket;
}

describe('a UDP socket', () => {
  for (const [type, host] of [
    ['udp4', '127.0.0.1'],
    ['udp6', '::1'],
  ] as const) {
    test(`answers where a datagram came from: ${type}`, async () => {
      await using server = bindUdp(
        { host },
        {
          onDatagram(socket, datagram) {
            expect(datagram.address).toBe(host);
            expect(datagram.port).toBe(client.address().port);
            socket.send(`you said ${datagram.bytes.toString()}`, datagram);
          },
        },
      );
      const client = await nodeSocket(type, host);
      const answer = once(client, 'message') as Promise<[Buffer]>;
      client.send('hello', server.port, host);
      expect((await answer)[0].toString()).toBe('you said hello');
      client.close();
      await until(() => server.sendsInFlight === 0);
      expect(server.stats).toMatchObject({ received: 1, bytesIn: 5, sent: 1, bytesOut: 14, sendErrors: 0 });
    });
  }

  test('sends text, bytes, fragments, nothing at all, and as much as goes into one', async () => {
    const inbox = new Inbox();
    await using receiver = bindUdp({}, inbox);
    await using sender = bindUdp({}, { onDatagram() {} });
    const to = { address: '127.0.0.1', port: receiver.port };
    const large = randomBytes(65_507);
    sender.send('text', to);
    sender.send(Buffer.of(1, 2, 3), to);
    using chain = new IOBuf(shard.memory);
    for (let i = 0; i < 200; i++) {
      using piece = IOBuf.from(`${i},`, shard.memory);
      using share = piece.share();
      chain.take(share);
    }
    const text = chain.toString();
    sender.send(chain, to);
    sender.send('', to);
    sender.send(large, to);
    await until(() => inbox.datagrams.length === 4 + 1);
    expect(inbox.datagrams.map((d) => d.length)).toEqual([4, 3, text.length, 0, 65_507]);
    expect(inbox.datagrams[2].toString()).toBe(text);
    expect(inbox.datagrams[4].equals(large)).toBe(true);
    expect(new Set(inbox.from)).toEqual(new Set([`127.0.0.1 ${sender.port}`]));
    expect(chain.sizeBytes).toBe(0);
  });

  for (const zeroCopy of ['never', 'always'] as const) {
    for (const gro of [false, true]) {
      test(`segments of one send arrive one by one: zero copy ${zeroCopy}, joined by the kernel ${gro}`, async () => {
        const inbox = new Inbox();
        await using receiver = bindUdp({ gro, receiveBufferBytes: 4_000_000 }, inbox);
        await using sender = bindUdp({ zeroCopy, zeroCopyThresholdBytes: 10_000 }, { onDatagram() {} });
        const data = randomBytes(1000 * 40 + 500);
        for (let round = 0; round < 5; round++) {
          sender.send(data, { address: '127.0.0.1', port: receiver.port }, 1000);
          await until(() => inbox.datagrams.length === 41 * (round + 1));
        }
        expect(Buffer.concat(inbox.datagrams.slice(-41)).equals(data)).toBe(true);
        expect(inbox.datagrams.slice(0, 41).map((d) => d.length)).toEqual([
          ...Array<number>(40).fill(1000),
          500,
        ]);
        await until(() => sender.stats.sent === 5);
        expect(sender.stats.zeroCopySends).toBe(zeroCopy === 'always' ? 5 : 0);
      });
    }
  }

  test('to this machine nothing is sent without a copy by itself', async () => {
    await using sender = bindUdp({ zeroCopyThresholdBytes: 1 }, { onDatagram() {} });
    sender.send(randomBytes(50_000), { address: '127.0.0.1', port: sender.port });
    await until(() => sender.stats.sent === 1);
    expect(sender.stats.zeroCopySends).toBe(0);
  });

  test('drops and counts what is too much, and refuses what can never leave', async () => {
    await using sender = bindUdp({ maxSendsInFlight: 3 }, { onDatagram() {} });
    const to = { address: '127.0.0.1', port: sender.port };
    expect([1, 2, 3, 4, 5].map(() => sender.send('x', to))).toEqual([true, true, true, false, false]);
    expect(sender.stats.dropped).toBe(2);
    for (const [data, segmentBytes] of [
      [new Uint8Array(65_508), 0],
      [new Uint8Array(6500), 100],
    ] as const) {
      await until(() => sender.sendsInFlight === 0);
      expect(() => sender.send(data, to, segmentBytes)).toThrow(
        expect.objectContaining({ code: 'SUNSTAR_DATAGRAM_TOO_LARGE' }) as Error,
      );
    }
    expect(() => sender.send('x', { address: 'localhost', port: 1 })).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }) as Error,
    );
    // A socket of IPv4 sends nothing to IPv6.
    sender.send('x', { address: '::1', port: 1 });
    await until(() => sender.stats.sendErrors === 1);
  });

  test('a handler that throws loses its datagram, and no other', async () => {
    let calls = 0;
    await using server = bindUdp(
      {},
      {
        onDatagram() {
          if (calls++ === 0) throw new Error('on purpose');
        },
      },
    );
    for (let i = 0; i < 3; i++) server.send('x', { address: '127.0.0.1', port: server.port });
    await until(() => calls === 3);
  });

  test('refuses ports that are none, which the kernel would cut to 16 bits', async () => {
    await using socket = bindUdp({}, { onDatagram() {} });
    for (const port of [70_000, -1, 0, Number.NaN, 1.5, undefined as unknown as number]) {
      expect(() => socket.send('x', { address: '127.0.0.1', port })).toThrow(
        expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }) as Error,
      );
    }
    expect(socket.sendsInFlight).toBe(0);
    expect(() => bindUdp({}, {} as unknown as UdpReceiver)).toThrow(/onDatagram must be a function/);
  });

  test('an onClose that throws is logged, and close() resolves', async () => {
    const socket = bindUdp(
      {},
      {
        onDatagram() {},
        onClose() {
          throw new Error('not now');
        },
      },
    );
    await socket.close();
    // A rejection that nobody handles would fail the run.
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('closes with sends and receives in flight, and says so once', async () => {
    for (let i = 0; i < 20; i++) {
      const inbox = new Inbox();
      const socket = bindUdp({}, inbox);
      for (let n = 0; n < 50; n++)
        socket.send(randomBytes(2000), { address: '127.0.0.1', port: socket.port });
      if (i % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      await Promise.all([socket.close(), socket.close()]);
      expect(inbox.closes).toBe(1);
      expect(() => socket.send('x', { address: '127.0.0.1', port: 1 })).toThrow(
        expect.objectContaining({ code: 'SUNSTAR_CONNECTION_CLOSED' }) as Error,
      );
    }
  });

  test('survives a flood: when all receive buffers are taken it goes on with the next that is free', async () => {
    let received = 0;
    await using receiver = bindUdp({ receiveBufferBytes: 8_000_000 }, { onDatagram: () => void received++ });
    await using sender = bindUdp({}, { onDatagram() {} });
    for (let i = 0; i < 500; i++) sender.send('x'.repeat(100), { address: '127.0.0.1', port: receiver.port });
    await until(() => received === 500);
  });
});

test('options out of range are refused', () => {
  for (const options of [
    { port: -1 },
    { host: 'localhost' },
    { maxSendsInFlight: 0 },
    { zeroCopyThresholdBytes: 0 },
  ]) {
    expect(() => bindUdp(options, { onDatagram() {} })).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }) as Error,
    );
  }
});
