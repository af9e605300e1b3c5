import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attach, Runtime, type RuntimeOptions } from '@sunstar/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let directory: string;
let journal: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sunstar-drain-'));
  journal = join(directory, 'journal');
  writeFileSync(journal, '');
});

afterEach(() => rmSync(directory, { recursive: true }));

const notes = (): string[] =>
  readFileSync(journal, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.includes(' start '));

const start = (act: string, options: Partial<RuntimeOptions> = {}): Promise<Runtime> =>
  Runtime.start({
    entry: new URL('../fixtures/shard.mjs', import.meta.url),
    shards: 2,
    memory: '64MiB',
    log: 'silent',
    data: { journal, act, on: 1 },
    ...options,
  });

describe('a stop', () => {
  it('drains all shards before one of them runs a stop task', async () => {
    const runtime = await start('drain');
    expect(runtime.state).toBe('running');
    const stopped = runtime.stop();
    expect(runtime.state).toBe('draining');
    await stopped;
    expect(runtime.state).toBe('stopped');
    const seen = notes();
    expect(seen.slice(0, 4).sort()).toEqual([
      '0 drain begins stopping=true',
      '0 drain ends false undefined',
      '1 drain begins stopping=true',
      '1 drain ends false undefined',
    ]);
    expect(seen.slice(4).every((line) => / stop /.test(line))).toBe(true);
    expect(seen).toHaveLength(8);
  });

  it.each([300, 0])('waits %i ms for a drain that does not end', async (drainTimeoutMs) => {
    const runtime = await start('drain for ever', { drainTimeoutMs });
    await runtime.stop();
    expect(notes()).toContain('1 drain ends true SUNSTAR_DRAIN_TIMEOUT');
    expect(notes().filter((line) => line.endsWith('stop first registered'))).toHaveLength(2);
  });

  it('goes on when a drain task fails', async () => {
    const runtime = await start('drain fails');
    await runtime.stop();
    expect(notes().filter((line) => line.endsWith('stop first registered'))).toHaveLength(2);
    expect(notes().filter((line) => line.includes('drain ends'))).toHaveLength(2);
  });

  it('of an attached thread drains first too, and takes no new tasks then', async () => {
    const shard = attach({ memory: '16MiB' });
    const order: string[] = [];
    // Those of what has ended by itself.
    const forgotten = [
      shard.onDrain(() => void order.push('forgotten')),
      shard.onStop(() => void order.push('forgotten')),
    ];
    shard.onStop(() => void order.push('stop'));
    shard.onDrain(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      order.push('first');
    });
    shard.onDrain(() => {
      expect(() => shard.onDrain(() => {})).toThrow(
        expect.objectContaining({ code: 'SUNSTAR_SHARD_STOPPING' }),
      );
      order.push('second');
    });
    // Twice does no harm.
    for (const forget of [...forgotten, ...forgotten]) forget();
    await shard.stop();
    expect(order).toEqual(['second', 'first', 'stop']);
    for (const forget of forgotten) forget();
    expect(() => shard.onStop(() => {})).toThrow(expect.objectContaining({ code: 'SUNSTAR_SHARD_STOPPING' }));
  });

  it.each([-1, Number.NaN, 2 ** 31])('refuses drainTimeoutMs %d', async (drainTimeoutMs) => {
    await expect(start('nothing', { drainTimeoutMs })).rejects.toMatchObject({
      code: 'SUNSTAR_INVALID_OPTION',
    });
  });
});
