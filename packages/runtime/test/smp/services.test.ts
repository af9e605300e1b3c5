import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Runtime } from '@sunstar/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const entry = new URL('./service-shard.mjs', import.meta.url);
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sunstar-services-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function start(act: string, options: object = {}): Promise<Runtime> {
  const data = { act, journal: path.join(directory, 'journal') };
  return Runtime.start({ entry, shards: 2, memory: '32MiB', log: 'silent', data, ...options });
}

function journal(): unknown[] {
  const lines = readFileSync(path.join(directory, 'journal'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as unknown);
}

describe('services on the shards of a runtime', () => {
  it.each([
    ['that look for work', 200],
    ['that sleep at once', 0],
  ])('are called between shards %s', async (_, idlePollUs) => {
    const runtime = await start('calls', { idlePollUs });
    await runtime.stop();
    const [{ sizes, same, live }] = journal() as [{ sizes: number[]; same: boolean; live: number }];
    expect(sizes.reduce((sum, size) => sum + size)).toBe(300);
    expect(Math.min(...sizes)).toBeGreaterThan(50);
    expect(same).toBe(true);
    expect(live).toBe(0);
  });

  it('throw errors of the application with both ends of the call in the stack', async () => {
    const runtime = await start('errors');
    await runtime.stop();
    const [{ frames, ...error }] = journal() as [{ frames: string[] }];
    expect(error).toEqual({ known: true, code: 'APP_QUOTA', used: 7 });
    expect(frames[0]).toBe('QuotaError: used 7');
    expect(frames[1]).toMatch(/^ {4}at Vault\.put \(service-shard\.mjs:/);
    expect(frames[2]).toBe('    at shard 1 (vault.put)');
    expect(frames[3]).toMatch(/^ {4}at async storeNothing \(service-shard\.mjs:/);
  });

  it('reject the calls that a crashed shard leaves unanswered', async () => {
    const runtime = await start('crash');
    await expect(runtime.finished).rejects.toThrow(/crash on purpose/);
    expect(journal()).toEqual([
      expect.objectContaining({
        code: 'SUNSTAR_SHARD_STOPPED',
        cause: expect.stringContaining('crash on purpose') as string,
      }),
    ]);
  });
});
