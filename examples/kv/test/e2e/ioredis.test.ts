import fs from 'node:fs';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { infoValue, ServerProcess, temporaryDirectory } from './support.ts';

describe.each([1, 3])('ioredis with %i shards', (shards) => {
  let data: string;
  let server: ServerProcess;
  let redis: Redis;

  beforeAll(async () => {
    data = temporaryDirectory();
    server = await ServerProcess.start({ data, shards });
    redis = new Redis(server.port);
  });
  afterAll(async () => {
    redis.disconnect();
    expect(await server.stop(), server.output.stderr).toBe(0);
    fs.rmSync(data, { recursive: true });
  });
  beforeEach(async () => {
    await redis.flushall();
  });

  it('sets and gets', async () => {
    expect(await redis.set('greeting', 'hello')).toBe('OK');
    expect(await redis.get('greeting')).toBe('hello');
    expect(await redis.get('missing')).toBeNull();
    expect(await redis.set('greeting', 'other', 'NX')).toBeNull();
    expect(await redis.set('greeting', 'other', 'EX', 100, 'GET')).toBe('hello');
    expect(await redis.ttl('greeting')).toBe(100);
    expect(await redis.append('greeting', '!')).toBe(6);
    expect(await redis.getrange('greeting', -3, -1)).toBe('er!');
    expect(await redis.getdel('greeting')).toBe('other!');
    expect(await redis.exists('greeting')).toBe(0);
    expect(await redis.type('greeting')).toBe('none');
  });

  it('keeps bytes as they are, from none to millions', async () => {
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await redis.set(everyByte, everyByte);
    expect(await redis.getBuffer(everyByte)).toEqual(everyByte);
    await redis.set('', '');
    expect(await redis.get('')).toBe('');
    for (const size of [1, 4000, 4096, 65_536, 131_072, 1_000_000, 20_000_000]) {
      const value = Buffer.alloc(size, `${size}:`);
      await redis.set(`size-${size}`, value);
      expect((await redis.getBuffer(`size-${size}`))?.equals(value)).toBe(true);
    }
  });

  it('answers a pipeline in order, whichever shard has the key', async () => {
    const pipeline = redis.pipeline();
    const expected: unknown[] = [];
    for (let i = 0; i < 2000; i++) {
      const key = `key-${i % 97}`;
      if (i % 4 === 0) {
        pipeline.set(key, `${i}`);
        expected.push('OK');
      } else if (i % 4 === 1) {
        pipeline.echo(`${i}`);
        expected.push(`${i}`);
      } else if (i % 4 === 2) {
        pipeline.incr(`counter-${i % 5}`);
        expected.push(Math.floor(i / 20) + 1);
      } else {
        pipeline.get(`key-${(i - 3) % 97}`);
        expected.push(`${i - 3}`);
      }
    }
    const results = (await pipeline.exec()) ?? [];
    expect(results.map(([error, result]) => error ?? result)).toEqual(expected);
  });

  it('brings many large values over from other shards', async () => {
    const values = Array.from({ length: 24 }, (_, i) => Buffer.alloc(1_000_000, `value ${i} `));
    for (const [i, value] of values.entries()) await redis.set(`large-${i}`, value);
    const keys = values.map((_, i) => `large-${i}`);
    const found = await redis.mgetBuffer(keys);
    expect(found.every((value, i) => value?.equals(values[i]))).toBe(true);
    const pipeline = redis.pipeline();
    for (const key of keys) pipeline.getBuffer(key);
    const results = (await pipeline.exec()) ?? [];
    expect(results.every(([error, value], i) => error === null && values[i].equals(value as Buffer))).toBe(
      true,
    );
  });

  it('puts commands with keys of several shards together', async () => {
    const keys = Array.from({ length: 60 }, (_, i) => `multi-${i}`);
    expect(await redis.mset(Object.fromEntries(keys.map((key) => [key, `v-${key}`])))).toBe('OK');
    expect(await redis.mget([...keys, 'missing'])).toEqual([...keys.map((key) => `v-${key}`), null]);
    expect(await redis.dbsize()).toBe(60);
    expect((await redis.keys('multi-1*')).sort()).toEqual(
      keys.filter((key) => key.startsWith('multi-1')).sort(),
    );
    expect(await redis.exists(...keys, 'missing')).toBe(60);
    expect(keys).toContain(await redis.randomkey());
    expect(await redis.del(...keys.slice(0, 10), 'missing')).toBe(10);
    expect(await redis.unlink(...keys.slice(10, 20))).toBe(10);
    for (const [index, key] of keys.slice(20).entries()) {
      expect(await redis.rename(key, `renamed-${index}`)).toBe('OK');
    }
    expect(await redis.get('renamed-39')).toBe('v-multi-59');
    expect(await redis.dbsize()).toBe(40);
    const found = new Set<string>();
    let cursor = '0';
    do {
      const [next, some] = await redis.scan(cursor, 'MATCH', 'renamed-*', 'COUNT', 7);
      for (const key of some) found.add(key);
      cursor = next;
    } while (cursor !== '0');
    expect(found.size).toBe(40);
    await redis.flushdb();
    expect(await redis.dbsize()).toBe(0);
    expect(await redis.randomkey()).toBeNull();
  });

  it('keeps the order of commands of one client that several shards take part in', async () => {
    const results = await redis
      .pipeline()
      .mset({ a: '1', b: '2', c: '3', d: '4' })
      .get('a')
      .mget('a', 'b', 'c', 'd')
      .rename('a', 'e')
      .mget('a', 'e')
      .set('e', '5')
      .rename('e', 'b')
      .get('b')
      .del('b', 'c', 'd')
      .dbsize()
      .mset({ x: '1', y: '2', z: '3' })
      .flushall()
      .dbsize()
      .get('x')
      .exec();
    expect(results?.map(([error, result]) => error ?? result)).toEqual([
      ...['OK', '1', ['1', '2', '3', '4'], 'OK', [null, '1'], 'OK', 'OK', '5', 3, 0],
      ...['OK', 'OK', 0, null],
    ]);
  });

  it('counts right with many clients at once', async () => {
    const clients = Array.from({ length: 20 }, () => new Redis(server.port));
    await Promise.all(
      clients.map(async (client, index) => {
        const work: Promise<number>[] = [];
        for (let i = 0; i < 200; i++) work.push(client.incr(`counter-${(i + index) % 10}`));
        await Promise.all(work);
      }),
    );
    const keys = Array.from({ length: 10 }, (_, i) => `counter-${i}`);
    expect(await redis.mget(keys)).toEqual(keys.map(() => '400'));
    for (const client of clients) client.disconnect();
  });

  it('lets keys expire', async () => {
    await redis.mset({ long: '1', short: '1' });
    await redis.set('kept', '1', 'EX', 100);
    await redis.expire('long', 100);
    expect(await redis.pttl('long')).toBeGreaterThan(90_000);
    expect(await redis.persist('kept')).toBe(1);
    await redis.pexpire('short', 60);
    await expect.poll(() => redis.get('short')).toBeNull();
    expect(await redis.ttl('kept')).toBe(-1);
    expect(await redis.get('kept')).toBe('1');
  });

  it('speaks RESP3 when asked to', async () => {
    const client = new Redis(server.port, { lazyConnect: true });
    await client.connect();
    const hello = (await client.call('HELLO', '3')) as unknown[] | Record<string, unknown>;
    expect(JSON.stringify(Array.isArray(hello) ? hello : Object.entries(hello))).toContain('proto');
    client.disconnect();
  });

  it('describes itself', async () => {
    const info = await redis.info();
    for (const section of ['Server', 'Clients', 'Memory', 'Persistence', 'Stats', 'Keyspace']) {
      expect(info).toContain(`# ${section}\r\n`);
    }
    expect(infoValue(info, 'shards')).toBe(String(shards));
    expect(infoValue(info, 'tcp_port')).toBe(String(server.port));
    expect(Number(infoValue(info, 'connected_clients'))).toBeGreaterThanOrEqual(1);
    for (let shard = 0; shard < shards; shard++) infoValue(info, `shard${shard}_commands`);
    await redis.client('SETNAME', 'tester');
    expect(await redis.client('LIST')).toMatch(/addr=127\.0\.0\.1:\d+ .*name=tester/);
    expect(await redis.config('GET', 'max*')).toContain('maxclients');
    expect(await redis.config('SET', 'maxmemory', '10mb')).toBe('OK');
    await expect(redis.config('SET', 'port', '1')).rejects.toThrow(/immutable/);
    await redis.config('SET', 'maxmemory', '0');
  });

  it('refuses writes beyond its memory, and loses nothing', async () => {
    await redis.config('SET', 'maxmemory', String(shards * 2 * 1024 * 1024));
    const value = 'v'.repeat(10_000);
    let stored = 0;
    let refused = 0;
    for (let i = 0; i < 1200; i++) {
      try {
        await redis.set(`key-${i}`, value);
        stored++;
      } catch (error) {
        expect((error as Error).message).toMatch(/^OOM/);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(0);
    expect(await redis.dbsize()).toBe(stored);
    expect(await redis.get('key-0')).toBe(value);
    await redis.flushall();
    await redis.config('SET', 'maxmemory', '0');
    expect(await redis.set('key', value)).toBe('OK');
  });

  it('pauses one client with DEBUG SLEEP, and serves the others', async () => {
    const sleeper = new Redis(server.port);
    const started = performance.now();
    const slept = sleeper.pipeline().set('a', '1').call('DEBUG', 'SLEEP', '0.3').get('a').exec();
    await redis.ping();
    expect(performance.now() - started).toBeLessThan(250);
    expect((await slept)?.map(([, result]) => result)).toEqual(['OK', 'OK', '1']);
    expect(performance.now() - started).toBeGreaterThanOrEqual(295);
    sleeper.disconnect();
  });
});
