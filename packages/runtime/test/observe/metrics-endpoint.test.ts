import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Runtime, type RuntimeOptions } from '@sunstar/runtime';
import { afterEach, describe, expect, it } from 'vitest';

const entry = new URL('../fixtures/observed-shard.mjs', import.meta.url);
let runtime: Runtime | undefined;

async function start(options: Partial<RuntimeOptions> = {}): Promise<Runtime> {
  runtime = await Runtime.start({
    entry,
    shards: 2,
    memory: '64MiB',
    log: 'silent',
    inspect: false,
    stalls: false,
    metrics: { port: 0 },
    ...options,
  });
  return runtime;
}

function get(path: string, method = 'GET'): Promise<{ status: number; type: string; body: string }> {
  const options = { host: '127.0.0.1', port: runtime?.metricsPort, path, method, agent: false };
  return new Promise((resolve, reject) => {
    request(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body });
      });
    })
      .on('error', reject)
      .end();
  });
}

afterEach(async () => {
  await runtime?.stop().catch(() => {});
  runtime = undefined;
});

describe('/metrics', () => {
  it('serves the metrics of every shard and every subsystem', async () => {
    await start();
    const { status, type, body } = await get('/metrics');
    expect(status).toBe(200);
    expect(type).toContain('text/plain; version=0.0.4');
    for (const shard of [0, 1]) {
      expect(body).toContain(`test_shards_total{shard="${shard}"} 1`);
      expect(body).toContain(`sunstar_shard_up{shard="${shard}"} 1`);
      for (const name of [
        'sunstar_reactor_ticks_total',
        'sunstar_reactor_idle_seconds_total',
        'sunstar_memory_free_bytes',
        'sunstar_smp_given_up_calls',
      ]) {
        expect(body).toMatch(new RegExp(`^${name}\\{shard="${shard}"\\} [\\d.e+-]+$`, 'm'));
      }
      expect(body).toContain(`sunstar_group_shares{group="default",shard="${shard}"} `);
      expect(body).toContain(`sunstar_smp_served_total{group="default",shard="${shard}"} `);
      expect(body).toContain(
        `sunstar_reactor_operation_seconds_count{operation="read",group="default",shard="${shard}"} 0`,
      );
    }
    expect(body).toMatch(/^process_resident_memory_bytes \d+$/m);
    const report = await runtime?.report();
    for (const shard of [0, 1]) expect(report).toMatch(new RegExp(`│ +${shard} │ +[\\d.]+ % │`));
  });

  it('answers many at once, and nothing else', async () => {
    await start();
    const answers = await Promise.all(Array.from({ length: 8 }, () => get('/metrics')));
    for (const { status } of answers) expect(status).toBe(200);
    expect((await get('/')).status).toBe(404);
    expect((await get('/metrics', 'POST')).status).toBe(405);
    expect(await get('/metrics', 'HEAD')).toMatchObject({ status: 200, body: '' });
  });

  it('leaves out a shard that stalls', async () => {
    await start({ data: { act: 'for ever', on: 1 }, drainTimeoutMs: 100, stopTimeoutMs: 100 });
    for (let body = ''; !body.includes('sunstar_shard_up{shard="1"} 0'); ) ({ body } = await get('/metrics'));
    const { body } = await get('/metrics');
    expect(body).toContain('sunstar_shard_up{shard="0"} 1');
    expect(body).not.toContain('sunstar_reactor_ticks_total{shard="1"}');
  });

  it('fails the start clearly when the port is taken, and ends with the runtime', async () => {
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
    const { port } = squatter.address() as AddressInfo;
    await expect(start({ metrics: { port } })).rejects.toMatchObject({ code: 'SUNSTAR_METRICS_UNAVAILABLE' });
    await new Promise((resolve) => squatter.close(resolve));
    await start({ metrics: { port } });
    expect(runtime?.metricsPort).toBe(port);
    await runtime?.stop();
    await expect(get('/metrics')).rejects.toThrow();
  });
});
