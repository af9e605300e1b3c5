import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type net from 'node:net';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { Child, fixture } from '../support/child.ts';
import { nodeClient, until } from '../support/peer.ts';
import { verify } from './poisoned.ts';

const BLOCKS = { zeroCopy: 'always', blocks: 100, blockBytes: 65_536 };

/** A client that reads nothing. */
async function stalledClient(port: number): Promise<net.Socket> {
  const client = await nodeClient(port);
  client.pause();
  return client;
}

for (const mechanism of ['send_zc', 'msg_zerocopy']) {
  describe(`the end of a thread with sends by ${mechanism} in flight`, () => {
    for (const [what, code] of [
      ['exit', 0],
      ['throw', 1],
    ] as const) {
      test(`${what}: what the kernel has accepted arrives, unspoilt`, async () => {
        await using child = new Child('zero-copy-sender.mjs', [JSON.stringify({ ...BLOCKS, mechanism })]);
        const { port } = JSON.parse(await child.line()) as { port: number };
        const clients = [await stalledClient(port), await stalledClient(port)];
        let stats: Record<string, number> = {};
        while (!(stats.inFlight >= 2)) stats = await child.ask('stats');
        child.tell(what);
        expect(await child.exited).toBe(code);
        let receivedBytes = 0;
        for (const client of clients) {
          const verdict = await verify(client);
          expect(verdict.badBytes).toBe(0);
          receivedBytes += verdict.receivedBytes;
        }
        expect(receivedBytes).toBeGreaterThanOrEqual(stats.bytesOut);
      });
    }

    test('exit: a stream that was closed before arrives to its end', async () => {
      const options = { ...BLOCKS, blocks: 20, mechanism };
      await using child = new Child('zero-copy-sender.mjs', [JSON.stringify(options)]);
      const { port } = JSON.parse(await child.line()) as { port: number };
      const client = await stalledClient(port);
      let stats: Record<string, number> = {};
      while (stats.bytesOut !== 20 * 65_536) stats = await child.ask('stats');
      expect(stats.inFlight).toBeGreaterThan(0);
      child.tell('exit');
      expect(await verify(client)).toEqual({ receivedBytes: 20 * 65_536, badBytes: 0 });
      expect(await child.exited).toBe(0);
    });

    test('worker.terminate(), 4 times: waits for peers, but not for ever; descriptors are closed, nothing is spoilt', async () => {
      const descriptors = (): number => readdirSync('/proc/self/fd').length;
      const run = async (): Promise<void> => {
        const worker = new Worker(fixture('zero-copy-sender.mjs'), { workerData: { ...BLOCKS, mechanism } });
        const [port] = (await once(worker, 'message')) as [number];
        const client = await stalledClient(port);
        // The kernel has something of it: then some of it is in flight.
        await new Promise<void>((resolve) => client.once('readable', resolve));
        await worker.terminate();
        expect((await verify(client)).badBytes).toBe(0);
        client.destroy();
      };
      await run();
      const before = descriptors();
      for (let i = 0; i < 3; i++) await run();
      await until(() => descriptors() <= before);
    });
  });
}
