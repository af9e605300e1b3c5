import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Runtime } from '@sunstar/runtime';
import { afterAll, describe, expect, it } from 'vitest';

const entry = new URL('./buffer-shard.mjs', import.meta.url);
const directory = mkdtempSync(path.join(tmpdir(), 'sunstar-buffers-'));
afterAll(() => rmSync(directory, { recursive: true }));

async function outcome(act: string, shards: number): Promise<unknown> {
  const journal = path.join(directory, act);
  const runtime = await Runtime.start({
    entry,
    shards,
    memory: shards * 2 ** 25,
    log: 'silent',
    data: { act, journal },
    onCrash: () => {},
  });
  await runtime.stop().catch(() => {});
  return JSON.parse(readFileSync(journal, 'utf8'));
}

describe('a buffer that goes from one thread to another', () => {
  it('is not copied, and its fragments come home when it is disposed there', async () => {
    expect(await outcome('move', 2)).toEqual({
      same: true,
      foreign: true,
      moved: true,
      stayed: true,
      copied: false,
    });
  });

  it('is copied when it goes on to a third, so that everything is home that was lent', async () => {
    expect(await outcome('third', 3)).toEqual({ passed: true, atHome: 0, lent: true });
  });

  it('comes home when the other shard crashes; what that had sent can still be read', async () => {
    expect(await outcome('crash', 2)).toEqual({
      intact: true,
      copied: true,
      gone: 'SUNSTAR_IOBUF_DISPOSED',
    });
  });
});
