import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Runtime, type RuntimeOptions } from '@sunstar/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let directory: string;
let journal: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sunstar-reload-'));
  journal = join(directory, 'journal');
  writeFileSync(journal, '');
});

afterEach(() => rmSync(directory, { recursive: true }));

const notes = (): string[] => readFileSync(journal, 'utf8').split('\n').filter(Boolean);
const ask = (what: string, shard: number): void => writeFileSync(`${journal}.${what}.${shard}`, '');
const until = (line: string): Promise<void> =>
  expect.poll(notes, { timeout: 18_000, interval: 20 }).toContain(line);
/** Waits for a call that a new thread of a shard answers: which one, if others have failed to start, is chance. */
const untilAnswered = (asking: number, shard: number): Promise<void> =>
  expect
    .poll(() => notes().some((line) => new RegExp(`^${asking} answered ${shard} [1-9]`).test(line)), {
      timeout: 18_000,
      interval: 20,
    })
    .toBe(true);
const wrong = (): string[] => notes().filter((line) => line.includes('wrong'));

const start = (options: Partial<RuntimeOptions> = {}, act = ''): Promise<Runtime> =>
  Runtime.start({
    entry: new URL('./reload-shard.mjs', import.meta.url),
    shards: 3,
    memory: '48MiB',
    log: 'silent',
    data: { journal, act },
    onCrash: 'reload',
    reload: { backoffMs: 5 },
    ...options,
  });

describe('a shard that crashes under load', () => {
  it('is started again, and calls from and to it work', async () => {
    const runtime = await start();
    for (const generation of [1, 2]) {
      ask('crash', 1);
      for (const peer of [0, 2]) await until(`${peer} answered 1 ${generation}`);
      expect(runtime.restarts).toBeGreaterThanOrEqual(generation - 1);
    }
    // The new shard calls the others too.
    await expect
      .poll(() => notes().slice(notes().indexOf('1 start 2')), { timeout: 15_000 })
      .toEqual(expect.arrayContaining(['1 answered 0 0', '1 answered 2 0']));
    await expect.poll(() => runtime.restarts, { timeout: 10_000 }).toBe(2);
    await runtime.stop();
    await runtime.finished;
    expect(wrong()).toEqual([]);
    expect(notes()).toEqual(expect.arrayContaining(['0 stopped 1', '0 uses 0', '1 uses 0', '2 uses 0']));
  });

  it('together with another one', async () => {
    const runtime = await start();
    ask('crash', 0);
    ask('crash', 2);
    await untilAnswered(1, 0);
    await untilAnswered(1, 2);
    await untilAnswered(2, 0);
    await runtime.stop();
    expect(wrong()).toEqual([]);
  });

  it('again and again stops the runtime', async () => {
    const runtime = await start({ reload: { maxRestarts: 1, backoffMs: 1 } });
    ask('crash', 1);
    await until('0 answered 1 1');
    ask('crash', 1);
    await expect(runtime.finished).rejects.toMatchObject({ code: 'SUNSTAR_SHARD_CRASHED', shardId: 1 });
    expect(runtime.state).toBe('stopped');
    expect(wrong()).toEqual([]);
  });
});

describe('a crash during the restart', () => {
  it('counts as another one', async () => {
    const runtime = await start({ reload: { backoffMs: 5, maxRestarts: 100 } });
    ask('fail-start', 1);
    ask('crash', 1);
    await until('1 start 2');
    rmSync(`${journal}.fail-start.1`);
    await expect
      .poll(() => notes().some((line) => /^0 answered 1 [2-9]/.test(line)), { timeout: 15_000 })
      .toBe(true);
    await runtime.stop();
    await runtime.finished;
    expect(wrong()).toEqual([]);
  });

  it('that never ends stops the runtime', async () => {
    const runtime = await start({ reload: { backoffMs: 1, maxRestarts: 2 } });
    ask('fail-start', 2);
    ask('crash', 2);
    await expect(runtime.finished).rejects.toMatchObject({ cause: { message: 'start failed' } });
  });
});

describe('a crash at another time', () => {
  it('fails the start as a whole', async () => {
    ask('fail-start', 1);
    await expect(start()).rejects.toMatchObject({ cause: { message: 'start failed' } });
  });

  it('while the runtime stops does not start the shard again', async () => {
    const runtime = await start({ stopTimeoutMs: 5000 }, 'crash in stop');
    await runtime.stop().catch(() => {});
    await expect(runtime.finished).rejects.toMatchObject({ code: 'SUNSTAR_SHARD_CRASHED', shardId: 1 });
    expect(notes().filter((line) => line.startsWith('1 start '))).toEqual(['1 start 0']);
  });

  it('that is waited for does not hold up a stop', async () => {
    const runtime = await start({ reload: { backoffMs: 1_000_000 } });
    ask('crash', 1);
    await until('0 stopped 1');
    await runtime.stop();
    await runtime.finished;
    expect(runtime.restarts).toBe(0);
  });

  it('is decided by a function', async () => {
    const seen: number[] = [];
    const runtime = await start({
      onCrash: (error) => {
        seen.push(error.shardId);
        return error.shardId === 1 ? 'reload' : 'stop';
      },
    });
    ask('crash', 1);
    await until('0 answered 1 1');
    ask('crash', 2);
    await expect(runtime.finished).rejects.toMatchObject({ shardId: 2 });
    expect(seen).toEqual([1, 2]);
  });
});

it.each([{ onCrash: 'again' as 'stop' }, { reload: { maxRestarts: 0 } }])('refuses %j', async (options) => {
  await expect(start(options)).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
});
