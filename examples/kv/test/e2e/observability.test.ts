import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Overview } from '@sunstar/runtime';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ServerProcess, temporaryDirectory } from './support.js';

const sunstar = fileURLToPath(new URL('../../../../packages/runtime/dist/cli/sunstar.js', import.meta.url));
let data: string;
let server: ServerProcess | undefined;

beforeEach(() => {
  data = temporaryDirectory();
});

afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  fs.rmSync(data, { recursive: true });
});

it('a running server tells its metrics, and sunstar top attaches to it', async () => {
  server = await ServerProcess.start({ data, shards: 2, args: ['--metrics-port', '0'] });
  const client = new Redis(server.port, '127.0.0.1');
  for (let i = 0; i < 100; i++) await client.set(`key ${i}`, 'value');
  const url = /metrics at (http:\/\/127\.0\.0\.1:\d+\/metrics)/.exec(server.output.stdout)?.[1] ?? '';
  const text = await (await fetch(url)).text();
  const valuesOf = (name: string): number[] =>
    [...text.matchAll(new RegExp(`^${name}\\{shard="\\d"\\} (\\d+)$`, 'gm'))].map((match) =>
      Number(match[1]),
    );
  expect(valuesOf('kv_keys').reduce((sum, keys) => sum + keys, 0)).toBe(100);
  expect(valuesOf('kv_connected_clients')).toHaveLength(2);
  expect(text).toContain('kv_keyspace_hits_total{shard="1"} 0');

  const args = [sunstar, 'top', String(server.child.pid), '--once', '--json', '--interval', '0.2'];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const shown = JSON.parse(stdout) as Overview;
  expect(shown.shards.map(({ shard }) => shard)).toEqual([0, 1]);
  expect(shown.shards[0].connections + shown.shards[1].connections).toBe(1);
  client.disconnect();
});
