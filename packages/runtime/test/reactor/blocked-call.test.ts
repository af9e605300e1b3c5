import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const fixture = new URL('../fixtures/blocked-call.mjs', import.meta.url);
let directory: string;
let fifo: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sunstar-fifo-'));
  fifo = join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
});

afterAll(() => rmSync(directory, { recursive: true }));

function run(end: string): Promise<{ code: number | string | null | undefined; stdout: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [fixture.pathname, fifo, end], { timeout: 15_000 }, (error, stdout) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout }),
    );
  });
}

describe('calls that would never return', () => {
  it('do not keep a process from ending', async () => {
    expect((await run('exit')).code).toBe(7);
  });

  it('do not keep a thread from being terminated', async () => {
    const worker = new Worker(fixture, { workerData: { fifo, end: 'terminate' } });
    await once(worker, 'message');
    expect(await worker.terminate()).toBe(1);
  });

  it('end when they are cancelled', async () => {
    expect(await run('cancel')).toEqual({ code: 0, stdout: 'all ended\n' });
  });
});
