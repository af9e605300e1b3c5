import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Runtime } from '@sunstar/runtime';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const entry = new URL('./iobuf-shard.mjs', import.meta.url);
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'sunstar-iobuf-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function start(act: string, idlePollUs: number): Promise<Runtime> {
  const data = { act, journal: path.join(directory, 'journal') };
  return Runtime.start({ entry, shards: 2, memory: '64MiB', log: 'silent', data, idlePollUs });
}

function journal(): unknown {
  return JSON.parse(readFileSync(path.join(directory, 'journal'), 'utf8'));
}

describe('buffers between the shards of a runtime', () => {
  test.each([200, 0])(
    'move, are read and freed on the other side, with %i µs of idle polling',
    async (idlePollUs) => {
      const runtime = await start('transfer', idlePollUs);
      await runtime.stop();
      expect(journal()).toEqual({ wrong: 0, live: [0, 0] });
    },
  );

  test('go home from answers that come too late', async () => {
    const runtime = await start('late', 0);
    await runtime.stop();
    expect(journal()).toEqual({ codes: 1, code: 'SUNSTAR_CALL_TIMEOUT', live: [0, 0] });
  });

  test('go home when the shard that has them crashes, and those of the crashed one stay readable', async () => {
    const runtime = await start('crash', 200);
    await expect(runtime.finished).rejects.toThrow(/crash on purpose/);
    expect(journal()).toEqual({ held: true, live: 0, readable: 3000 });
  });
});
