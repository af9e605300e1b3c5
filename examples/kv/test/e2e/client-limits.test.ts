import fs from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { infoValue, RawClient, resp, ServerProcess, temporaryDirectory } from './support.ts';

describe('limits on clients', () => {
  let data: string;
  afterEach(() => fs.rmSync(data, { recursive: true }));

  async function withServer(shards: number, args: string[], body: (server: ServerProcess) => Promise<void>) {
    data = temporaryDirectory();
    await using server = await ServerProcess.start({ data, shards, args });
    await body(server);
    expect(await server.stop(), server.output.stderr).toBe(0);
  }

  it.each([1, 2])('says when there are too many (%i shards)', async (shards) => {
    await withServer(shards, ['--max-clients', '5'], async (server) => {
      const clients: RawClient[] = [];
      for (let i = 0; i < 5; i++) {
        const client = await RawClient.connect(server.port);
        client.send('PING\r\n');
        await client.expect('+PONG\r\n');
        clients.push(client);
      }
      for (let i = 0; i < 3; i++) {
        const refused = await RawClient.connect(server.port);
        expect(await refused.rest()).toBe('-ERR max number of clients reached\r\n');
      }
      clients[0].close();
      await expect
        .poll(async () => {
          using client = await RawClient.connect(server.port);
          client.send('PING\r\n');
          return await client.line();
        })
        .toBe('+PONG');
      clients[1].send(resp('INFO', 'stats'));
      clients[1].send(resp('QUIT'));
      expect(Number(infoValue(await clients[1].rest(), 'rejected_connections'))).toBeGreaterThanOrEqual(3);
      for (const client of clients) client.close();
    });
  });

  it('closes clients that never send a command, and those that are idle', async () => {
    await withServer(1, ['--handshake-timeout', '1', '--timeout', '2'], async (server) => {
      const silent = await RawClient.connect(server.port);
      const half = await RawClient.connect(server.port);
      half.send('*1\r\n$4\r\nPI');
      const idle = await RawClient.connect(server.port);
      idle.send('PING\r\n');
      await idle.expect('+PONG\r\n');
      expect(await silent.rest()).toBe('');
      expect(await half.rest()).toBe('');
      using busy = await RawClient.connect(server.port);
      for (let i = 0; i < 8; i++) {
        busy.send('PING\r\n');
        await busy.expect('+PONG\r\n');
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      expect(await idle.rest()).toBe('');
      busy.send(`${resp('INFO', 'stats')}`);
      busy.send(`${resp('QUIT')}`);
      const info = await busy.rest();
      expect(infoValue(info, 'client_handshake_timeout_disconnections')).toBe('2');
      expect(infoValue(info, 'client_idle_timeout_disconnections')).toBe('1');
    });
  });

  it('holds thousands of half-open connections', async () => {
    // Both ends are descriptors of this machine, and those of this end are this process's.
    const limits = fs.readFileSync('/proc/self/limits', 'latin1');
    const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 1024);
    const count = Math.min(10_000, limit - 200);
    console.log(`${count} half-open connections; the limit on descriptors is ${limit}`);
    await withServer(2, ['--max-clients', String(count + 10)], async (server) => {
      const clients: RawClient[] = [];
      while (clients.length < count) {
        const batch = Array.from({ length: Math.min(200, count - clients.length) }, () =>
          RawClient.connect(server.port),
        );
        clients.push(...(await Promise.all(batch)));
      }
      for (const [index, client] of clients.entries()) if (index % 2 === 0) client.send('*2\r\n$3\r\nGE');
      using probe = await RawClient.connect(server.port);
      probe.send(resp('SET', 'a', '1'));
      await probe.expect('+OK\r\n');
      probe.send(resp('INFO', 'clients'));
      await probe.line();
      let connected = '';
      while (!connected.startsWith('connected_clients')) connected = await probe.line();
      expect(Number(connected.split(':')[1])).toBe(count + 1);
      for (const client of clients) client.close();
    });
  });
});
