import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Runtime, type ShardLoad } from '@sunstar/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const entry = new URL('./calls-shard.mjs', import.meta.url);
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sunstar-calls-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function start(act: string, options: object = {}): Promise<Runtime> {
  const data = { act, journal: path.join(directory, 'journal') };
  return Runtime.start({ entry, shards: 2, memory: '32MiB', log: 'silent', data, ...options });
}

function journal(): unknown {
  return JSON.parse(readFileSync(path.join(directory, 'journal'), 'utf8'));
}

describe('calls between the shards of a runtime', () => {
  it('run in the group of the caller, or of the service, and their answers in that of the caller', async () => {
    const runtime = await start('groups');
    await runtime.stop();
    const seen = journal() as Record<string, unknown>;
    const id = seen.id as number;
    expect(id).toBeGreaterThan(0);
    expect(seen.inside).toEqual(new Array(14).fill(id));
    expect(seen.outside).toEqual(new Array(14).fill(0));
    expect(seen.unknown).toEqual([0, true]);
    expect(seen.owned).toEqual([seen.own, [seen.own, seen.own], id]);
    expect(seen.wrong).toBe(0);
    const burst = Array.from({ length: 20 }, (_, value) => value);
    expect(seen.noted).toEqual([burst, burst, burst]);
    // Two calls of each of the 100 that ran in it, and 20 one-way messages.
    expect(seen.sent).toBe(220);
    expect(seen.served).toBeGreaterThanOrEqual(220);
  });

  it.each([200, 0])('carry async iterables both ways, with %i µs of idle polling', async (idlePollUs) => {
    const runtime = await start('streams', { idlePollUs });
    await runtime.stop();
    expect(journal()).toEqual({
      sum: (2000 * 1999) / 2,
      bytes: 900_000,
      here: (1000 * 999) / 2,
      state: { cleaned: 3, begun: 0, aborted: 0 },
      live: 0,
    });
  });

  it.each([200, 0])(
    'end with their time and their signal, with %i µs of idle polling',
    async (idlePollUs) => {
      const runtime = await start('limits', { idlePollUs });
      await runtime.stop();
      expect(journal()).toEqual({
        late: 'SUNSTAR_CALL_TIMEOUT',
        aborted: 'enough',
        left: 0,
      });
    },
  );

  it('move buffers and message ports', async () => {
    const runtime = await start('moves');
    await runtime.stop();
    expect(journal()).toEqual({ sum: 3_000_000, left: 0, heard: 'arrived', back: 300_000, last: 5 });
  });

  it('tell how busy the other shard is', async () => {
    const runtime = await start('load');
    await runtime.stop();
    const { busy, idle } = journal() as { busy: ShardLoad; idle: ShardLoad };
    expect(busy.serviceLatencyUs).toBeGreaterThan(900);
    expect(busy.utilisation).toBeGreaterThan(idle.utilisation);
    expect(busy.fields.entries).toBeGreaterThan(0);
    expect(idle.freeMemoryBytes).toBeGreaterThan(10_000_000);
  });

  it('end a stream with a coded error when its shard crashes', async () => {
    const runtime = await start('crash');
    await expect(runtime.finished).rejects.toThrow(/crash on purpose/);
    expect(journal()).toEqual([
      100,
      'SUNSTAR_SHARD_STOPPED',
      expect.stringContaining('crash on purpose') as string,
    ]);
  });
});
