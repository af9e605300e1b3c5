import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  canMountLoop,
  failingStart,
  infoValue,
  mountLoop,
  temporaryDirectory,
  withServer,
} from './support.ts';

let directory: string;
let data: string;
beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

describe.skipIf(!canMountLoop())('a file system of its own (needs root and loop devices)', () => {
  let unmount: () => void;
  beforeEach(() => {
    unmount = mountLoop(directory, 40);
    data = path.join(directory, 'mount', 'data');
  });
  afterEach(() => unmount());

  it('that is read-only: refused, nothing changed', async () => {
    await withServer({ data }, async (redis) => redis.set('key', '1'));
    execFileSync('mount', ['-o', 'remount,ro', path.join(directory, 'mount')]);
    const { code, said } = await failingStart({ data });
    expect(code).toBe(1);
    expect(said).toMatch(/read-only/);
    execFileSync('mount', ['-o', 'remount,rw', path.join(directory, 'mount')]);
    await withServer({ data }, async (redis) => expect(await redis.get('key')).toBe('1'));
  });

  it('that is full at the start: refused, nothing lost', async () => {
    await withServer({ data }, async (redis) => redis.set('key', '1'));
    const filler = path.join(directory, 'mount', 'filler');
    fillUp(filler);
    const { code, said } = await failingStart({ data });
    expect(code).toBe(1);
    expect(said).toMatch(/no space left/);
    fs.rmSync(filler);
    await withServer({ data }, async (redis) => expect(await redis.get('key')).toBe('1'));
  });

  it.each(['always', 'everysec'] as const)(
    'that fills up while writing (%s): writes refused, reads go on, and all is well when there is space',
    async (fsync) => {
      const filler = path.join(directory, 'mount', 'filler');
      const written = new Map<string, string>();
      await withServer({ data, fsync }, async (redis) => {
        await redis.set('before', '1');
        fillUp(filler);
        let refusal = '';
        for (let i = 0; i < 4000 && refusal === ''; i++) {
          const value = `${i}`.padEnd(100_000, 'x');
          try {
            await redis.set(`key-${i}`, value);
            written.set(`key-${i}`, value);
          } catch (error) {
            refusal = (error as Error).message;
          }
        }
        expect(refusal).toMatch(/^(MISCONF|IOERR).*no space left/);
        await expect(redis.set('refused', '1')).rejects.toThrow(/^MISCONF/);
        expect(await redis.get('before')).toBe('1');
        expect(await redis.get('key-0')).toBe(written.get('key-0'));
        expect(infoValue(await redis.info(), 'aof_last_write_status')).toBe('err');

        fs.rmSync(filler);
        await expect
          .poll(async () => redis.set('after', '1').catch((error: Error) => error.message), {
            timeout: 10_000,
          })
          .toBe('OK');
        written.set('after', '1');
        written.set('before', '1');
        expect(infoValue(await redis.info(), 'aof_last_write_status')).toBe('ok');
      });
      await withServer({ data }, async (redis) => {
        for (const [key, value] of written) expect(await redis.get(key)).toBe(value);
      });
    },
  );

  it('that fills up, and a kill: what was acknowledged with always is there', async () => {
    const written: string[] = [];
    await withServer({ data, fsync: 'always' }, async (redis, server) => {
      fillUp(path.join(directory, 'mount', 'filler'));
      for (let i = 0; i < 4000; i++) {
        try {
          await redis.set(`key-${i}`, 'x'.repeat(100_000));
          written.push(`key-${i}`);
        } catch {
          break;
        }
      }
      server.child.kill('SIGKILL');
      await server.exited;
    });
    fs.rmSync(path.join(directory, 'mount', 'filler'));
    await withServer({ data }, async (redis) => {
      for (const key of written) expect(await redis.exists(key)).toBe(1);
    });
  });
});

/** Writes a file until the file system has no block left. */
function fillUp(file: string): void {
  const fd = fs.openSync(file, 'w');
  for (const size of [1 << 20, 1 << 16, 4096]) {
    const block = Buffer.alloc(size, 1);
    try {
      for (;;) fs.writeSync(fd, block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}
