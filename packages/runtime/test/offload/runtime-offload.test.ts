import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attach, offload, Runtime } from '@sunstar/runtime';
import { afterEach, beforeEach, expect, it } from 'vitest';

let directory: string;
let journal: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sunstar-offload-'));
  journal = join(directory, 'journal');
  writeFileSync(journal, '');
});

afterEach(() => rmSync(directory, { recursive: true }));

const start = (act: string): Promise<Runtime> =>
  Runtime.start({
    entry: new URL('./shard.mjs', import.meta.url),
    shards: 2,
    memory: '32MiB',
    log: 'silent',
    data: { journal, act },
  });

const notes = (): string[] => readFileSync(journal, 'utf8').split('\n').filter(Boolean);
const threads = (): string | undefined =>
  /Threads:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];

it('shards share one pool, which works until they have stopped and leaves no thread behind', async () => {
  await (await start('nothing')).stop();
  const before = threads();
  writeFileSync(journal, '');
  await (await start('nothing')).stop();
  expect(notes().sort()).toEqual([
    '0 RangeError E_PURPOSE',
    '0 stopping 2',
    '0 sum 190',
    '1 RangeError E_PURPOSE',
    '1 stopping 2',
    '1 sum 210',
  ]);
  expect(threads()).toBe(before);
});

it('a shard that crashes takes its calls in the pool with it', async () => {
  // On a busy machine it may come before the start is over.
  await expect(start('crash').then((runtime) => runtime.finished)).rejects.toMatchObject({
    code: 'SUNSTAR_SHARD_CRASHED',
    shardId: 1,
  });
  expect(notes()).toContain('0 stopping 2');
});

it('needs a shard, and works on a thread that is attached', async () => {
  const work = new URL('./work.mjs', import.meta.url);
  expect(() => offload(work, 'add', [1, 2])).toThrow(
    expect.objectContaining({ code: 'SUNSTAR_NOT_ATTACHED' }),
  );
  const shard = attach({ memory: '16MiB' });
  expect(await offload(work, 'add', [1, 2])).toBe(3);
  expect(await offload(work.pathname, 'add', ['a', 'b'])).toBe('ab');
  await shard.stop();
});
