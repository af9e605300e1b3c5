import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Runtime } from '@sunstar/runtime';
import { afterAll, describe, expect, it } from 'vitest';

const entry = new URL('./lending-shard.mjs', import.meta.url);
const directory = mkdtempSync(path.join(tmpdir(), 'sunstar-lending-'));
afterAll(() => rmSync(directory, { recursive: true }));

async function outcome(act: string, how = ''): Promise<unknown> {
  const journal = path.join(directory, `${act}${how}`);
  const runtime = await Runtime.start({
    entry,
    shards: 2,
    memory: '64MiB',
    log: 'silent',
    data: { act, how, journal },
    onCrash: () => {},
  });
  await runtime.stop().catch(() => {});
  return JSON.parse(readFileSync(journal, 'utf8'));
}

describe('blocks between the threads of two shards', () => {
  it('are read where they are, freed by the other shard, and come home', async () => {
    expect(await outcome('free')).toEqual({
      intact: true,
      lent: 400,
      foreignFreesSent: 400,
      intactAgain: true,
      liveBlocks: 0,
      foreignFrees: 800,
      free: true,
    });
  });

  it.each(['throw', 'exit'])('come home when the other shard dies by %s', async (how) => {
    expect(await outcome('crash', how)).toEqual({
      intact: true,
      lent: 400,
      foreign: true,
      liveBlocks: 0,
      foreignFrees: 400,
      free: true,
    });
  });
});
