import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failingStart, infoValue, ServerProcess, temporaryDirectory, withServer } from './support.ts';

let directory: string;
let data: string;
beforeEach(() => {
  directory = temporaryDirectory();
  data = path.join(directory, 'data');
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

describe('the data directory', () => {
  it('has everything after a stop and a start', async () => {
    await withServer({ data, shards: 2, fsync: 'no' }, async (redis) => {
      for (let i = 0; i < 300; i++) await redis.set(`key-${i}`, `value-${i}`);
      await redis.set('expiring', '1', 'EX', 1000);
      await redis.del('key-7');
      await redis.set('binary', Buffer.from([0, 13, 10, 255]));
      await redis.set('large', 'x'.repeat(3_000_000));
    });
    await withServer({ data, shards: 2 }, async (redis, server) => {
      expect(await redis.dbsize()).toBe(302);
      expect(await redis.get('key-299')).toBe('value-299');
      expect(await redis.get('key-7')).toBeNull();
      expect(await redis.ttl('expiring')).toBeGreaterThan(900);
      expect(await redis.getBuffer('binary')).toEqual(Buffer.from([0, 13, 10, 255]));
      expect(await redis.strlen('large')).toBe(3_000_000);
      expect(server.output.stderr).toContain('"msg":"recovered"');
    });
  });

  it('is divided anew among another number of shards, again and again', async () => {
    const keys = Array.from({ length: 500 }, (_, i) => `key-${i}`);
    await withServer({ data, shards: 1 }, async (redis) => {
      await redis.mset(Object.fromEntries(keys.map((key) => [key, `v-${key}`])));
    });
    for (const shards of [3, 2]) {
      await withServer({ data, shards }, async (redis) => {
        expect(await redis.mget(keys)).toEqual(keys.map((key) => `v-${key}`));
        expect(await redis.dbsize()).toBe(keys.length);
        // A FLUSH in the log of one shard must not reach the keys of another.
        await redis.flushall();
        await redis.mset(Object.fromEntries(keys.map((key) => [key, `v-${key}`])));
      });
      expect(fs.readdirSync(data).filter((name) => name.startsWith('epoch-')).length).toBe(1);
    }
  });

  it('survives a kill while it is being divided anew', async () => {
    await withServer({ data, shards: 1 }, async (redis) => {
      for (let i = 0; i < 100; i++) await redis.set(`key-${i}`, 'x'.repeat(1000));
    });
    for (let round = 0; round < 3; round++) {
      await using server = await ServerProcess.spawn({ data, shards: 2 });
      await new Promise((resolve) => setTimeout(resolve, 250 + round * 150));
      server.child.kill('SIGKILL');
      await server.exited;
    }
    await withServer({ data, shards: 1 }, async (redis) => {
      expect(await redis.dbsize()).toBe(100);
    });
  });

  it('keeps writes of the last second with everysec when the process is killed', async () => {
    await withServer({ data }, async (redis, server) => {
      for (let i = 0; i < 100; i++) await redis.set(`key-${i}`, '1');
      await expect
        .poll(async () => infoValue(await redis.info(), 'aof_pending_bytes'), { timeout: 5000 })
        .toBe('0');
      await redis.set('late', '1');
      server.child.kill('SIGKILL');
      await server.exited;
    });
    await withServer({ data }, async (redis, server) => {
      expect(await redis.dbsize()).toBeGreaterThanOrEqual(100);
      expect(server.output.stderr).toContain('recovered after a crash');
    });
  });

  it('is for one instance at a time', async () => {
    await withServer({ data }, async (redis, server) => {
      const { code, said } = await failingStart({ data });
      expect(code).toBe(1);
      expect(said).toContain(`in use by another instance (pid ${server.child.pid})`);
      expect(await redis.set('still', 'works')).toBe('OK');
    });
  });

  it('is refused when it is damaged or foreign, with its name and a remedy', async () => {
    await withServer({ data }, async (redis) => redis.set('key', '1'));
    fs.writeFileSync(path.join(data, 'CURRENT'), 'something else');
    const { code, said } = await failingStart({ data });
    expect(code).toBe(1);
    expect(said).toContain('CURRENT');
    expect(said).toContain('--data');
    expect(said).not.toContain('    at ');
  });

  it('is refused when a file is in the way', async () => {
    fs.writeFileSync(data, 'a file');
    const { code, said } = await failingStart({ data });
    expect(code).toBe(1);
    expect(said).toMatch(/a file is in the way/);
  });

  it('is refused when its data does not fit into memory', async () => {
    await withServer({ data, args: ['--memory', '256MiB'] }, async (redis) => {
      for (let i = 0; i < 60; i++) await redis.set(`key-${i}`, Buffer.alloc(1_000_000, 'x'));
    });
    const { code, said } = await failingStart({ data, args: ['--memory', '33MiB'] });
    expect(code).toBe(1);
    expect(said).toMatch(/does not fit into the memory.*--memory/);
    await withServer({ data, args: ['--memory', '256MiB'] }, async (redis) =>
      expect(await redis.dbsize()).toBe(60),
    );
  });

  it('says what is wrong with an option', async () => {
    for (const [args, expected] of [
      [['--shards', '0'], /--shards/],
      [['--memory', 'much'], /--memory/],
      [['--fsync', 'sometimes'], /always, everysec, no/],
      [['--host', 'nowhere'], /host/],
    ] as const) {
      const { code, said } = await failingStart({ data, args });
      expect(code).toBe(1);
      expect(said).toMatch(expected);
    }
  });
});
