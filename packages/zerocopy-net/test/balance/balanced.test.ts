import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ListenOptions } from '@sunstar/zerocopy-net';
import { describe, expect, test } from 'vitest';
import { Client, Server } from '../support/balanced-server.ts';
import { outcome, until } from '../support/peer.ts';

function descriptorCount(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('least-loaded', () => {
  test('every shard serves, and no descriptor is left over', async () => {
    await using server = await Server.start(3, { balance: 'least-loaded' });
    expect(new Set(server.started.map(({ port }) => port)).size).toBe(1);
    const idle = descriptorCount();
    await server.connectTo(({ shard }) => shard === 2);
    // Connections to other shards are destroyed, and closed there in time.
    await until(() => descriptorCount() === idle + 2);
    const before = descriptorCount();
    const clients = Array.from({ length: 60 }, () => server.connect());
    const counts = [0, 0, 0];
    for (const { shard } of await Promise.all(clients.map((client) => client.ask('who')))) counts[shard]++;
    for (const count of counts) expect(count).toBeGreaterThan(0);
    // Both ends of each connection, once.
    await until(() => descriptorCount() === before + 120);
    const stats = await server.statsOf(0);
    expect(stats.given).toBeGreaterThanOrEqual(counts[1] + counts[2]);
    expect(stats.lost).toBe(0);
    for (const { socket } of clients) socket.destroy();
    await until(() => descriptorCount() <= before);
  });

  test('a connection that was given away ends as any other: FIN and reset reach the client', async () => {
    await using server = await Server.start(2, { balance: 'least-loaded' });
    const client = await server.connectTo(({ shard }) => shard === 1);
    const ended = outcome(client.socket);
    client.socket.end();
    expect(await ended).toBe('end');
    const other = await server.connectTo(({ shard }) => shard === 1);
    const failed = outcome(other.socket);
    // No such command: the handler throws.
    other.socket.write('nonsense\n');
    expect(await failed).toBe('ECONNRESET');
  });

  test('a Unix socket, accepted by a shard that is not the first', async () => {
    const path = join(tmpdir(), `sunstar-balanced-${process.pid}.sock`);
    await using server = await Server.start(2, { balance: 'least-loaded', path, acceptor: 1 });
    expect(server.started.map(({ address }) => address)).toEqual([path, path]);
    const shards = new Set<number>();
    while (shards.size < 2) {
      const client = new Client({ path });
      server.clients.push(client);
      shards.add((await client.ask('who')).shard);
      expect(await client.ask('again')).toEqual({ code: 'SUNSTAR_ALREADY_LISTENING' });
    }
  });

  test('each shard refuses what is beyond its own limit', async () => {
    await using server = await Server.start(2, { balance: 'least-loaded', maxConnections: 3 });
    const clients = Array.from({ length: 12 }, () => server.connect());
    const answers = await Promise.allSettled(clients.map((client) => client.ask('who')));
    const served = answers.filter(({ status }) => status === 'fulfilled').length;
    expect(served).toBeGreaterThanOrEqual(3);
    expect(served).toBeLessThanOrEqual(6);
  });
});

describe('client-address', () => {
  test('all connections of an address go to the shard that owns it', async () => {
    await using server = await Server.start(3, { balance: 'client-address' });
    const shards = new Set<number>();
    for (let i = 1; i <= 8; i++) {
      const localAddress = `127.0.0.${i}`;
      for (let n = 0; n < 3; n++) {
        const { shard, owner } = await server.connect({ localAddress }).ask('who');
        expect(shard).toBe(owner);
        shards.add(shard);
      }
    }
    expect(shards.size).toBe(3);
  });

  test('while that shard does not listen, to the next one', async () => {
    await using server = await Server.start(2, { balance: 'client-address' });
    let localAddress = '';
    for (let i = 1; localAddress === ''; i++) {
      const client = server.connect({ localAddress: `127.0.0.${i}` });
      if ((await client.ask('who')).shard === 1) {
        localAddress = `127.0.0.${i}`;
        await client.ask('close').catch(() => {});
      }
      client.socket.destroy();
    }
    for (let n = 0; n < 10; n++) expect((await server.connect({ localAddress }).ask('who')).shard).toBe(0);
  });
});

describe('a shard that ends', () => {
  test('stops to listen under load: connections go to the others, none is refused', async () => {
    await using server = await Server.start(3, { balance: 'least-loaded' });
    const failures: unknown[] = [];
    let stop = false;
    const hammer = Array.from({ length: 4 }, async () => {
      while (!stop) {
        const client = server.connect();
        // A handler may have been stopped in the middle of its connection, but none that begins later.
        await client.ask('who').catch((error: unknown) => failures.push(error));
        client.socket.destroy();
      }
    });
    const leaving = await server.connectTo(({ shard }) => shard === 1);
    await leaving.ask('close');
    await once(leaving.socket, 'close');
    stop = true;
    await Promise.all(hammer);
    const seen = new Set<number>();
    for (let n = 0; n < 20; n++) seen.add((await server.connect().ask('who')).shard);
    expect(seen.has(1)).toBe(false);
    expect(failures.length).toBeLessThanOrEqual(4);
  });

  test('crashes under load: the others go on, it comes back, and no descriptor is left over', async () => {
    await using server = await Server.start(3, { balance: 'least-loaded' });
    await server.connectTo(({ shard }) => shard === 2);
    for (const { socket } of server.clients) socket.destroy();
    let stop = false;
    let served = 0;
    const hammer = Array.from({ length: 4 }, async () => {
      while (!stop) {
        const client = server.connect();
        // Those that were on the shard are reset.
        await client.ask('who').then(
          () => served++,
          () => {},
        );
        client.socket.destroy();
      }
    });
    const victim = await server.connectTo(({ shard }) => shard === 2);
    const failed = outcome(victim.socket);
    victim.socket.write('crash\n');
    await failed;
    const back = await server.connectTo(({ shard, generation }) => shard === 2 && generation === 1);
    stop = true;
    await Promise.all(hammer);
    expect(server.crashes).toHaveLength(1);
    expect(served).toBeGreaterThan(0);
    const open = descriptorCount();
    for (const { socket } of server.clients) socket.destroy();
    // The one connection that was left, both ends.
    await until(() => descriptorCount() <= open - 2);
    expect(back.socket.destroyed).toBe(true);
    const stats = await server.statsOf(0);
    expect(stats.open).toBeLessThanOrEqual(1);
  });

  test('crashes as the acceptor: connections of the others live on, and it listens on the same port again', async () => {
    await using server = await Server.start(2, { balance: 'least-loaded' });
    const survivor = await server.connectTo(({ shard }) => shard === 1);
    const acceptor = await server.connectTo(({ shard }) => shard === 0);
    acceptor.socket.write('crash\n');
    await until(() => server.started.length === 3);
    expect(server.started[2]).toMatchObject({ shard: 0, generation: 1, port: server.started[0].port });
    expect((await survivor.ask('who')).shard).toBe(1);
    await server.connectTo(({ shard }) => shard === 0);
    await server.connectTo(({ shard }) => shard === 1);
  });
});

test('what cannot work is refused', async () => {
  for (const options of [
    { balance: 'client-address', path: '@sunstar-never' },
    { balance: 'client-address', proxyProtocol: true },
    { balance: 'random' },
    { balance: 'least-loaded', acceptor: 2 },
  ]) {
    await expect(Server.start(2, options as Partial<ListenOptions>)).rejects.toMatchObject({
      cause: expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }) as unknown,
    });
  }
});

test('a port in use is refused on every shard', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  await expect(Server.start(2, { balance: 'least-loaded', port })).rejects.toMatchObject({
    cause: expect.objectContaining({ code: 'SUNSTAR_EADDRINUSE' }) as unknown,
  });
  server.close();
});
