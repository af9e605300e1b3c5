import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const fixture = new URL('../fixtures/busy-thread.mjs', import.meta.url);
/** 66 of each of the three ends in the long run. */
const rounds = Number(process.env.SUNSTAR_TEARDOWN_ROUNDS ?? 12);

let directory: string;
let file: string;

beforeAll(() => {
  // Not the temporary directory, which may be in memory: O_DIRECT needs a disk.
  directory = mkdtempSync(join(import.meta.dirname, '.teardown-'));
  file = join(directory, 'data');
  writeFileSync(file, Buffer.alloc(1 << 20));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function residentBytes(): number {
  return Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096;
}

/** Runs one busy thread to its end; resolves with its exit code and error. */
function runThread(end: string): Promise<{ exitCode: number; error: unknown }> {
  return new Promise((resolve) => {
    let error: unknown;
    const worker = new Worker(fixture, { workerData: { file, end } });
    worker.on('message', () => void worker.terminate());
    worker.on('error', (thrown) => {
      error = thrown;
    });
    worker.on('exit', (exitCode) => resolve({ exitCode, error }));
  });
}

function runProcess(end: string): Promise<{ code: number | string | null | undefined; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [fixture.pathname, file, end], { timeout: 20_000 }, (error, _stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stderr }),
    );
  });
}

describe('the end of a thread with operations in flight', () => {
  it.each([
    ['terminate', 1, undefined],
    ['spin', 1, undefined],
    ['exit', 7, undefined],
    ['throw', 1, 'on purpose'],
  ])('by %s neither crashes nor hangs nor leaks', { timeout: 120_000 }, async (end, exitCode, message) => {
    await runThread(end);
    const descriptors = openDescriptors();
    const resident = residentBytes();
    for (let i = 0; i < rounds; i++) {
      const result = await runThread(end);
      expect(result.exitCode).toBe(exitCode);
      expect((result.error as Error | undefined)?.message).toBe(message);
    }
    expect(openDescriptors()).toBe(descriptors);
    // Each thread's arena alone has 16 MiB, of which it touches more than one.
    expect(residentBytes() - resident).toBeLessThan(48 * 2 ** 20);
  });

  it.each([
    ['exit', 7],
    ['throw', 1],
  ])('by %s ends the process with its exit code', { timeout: 120_000 }, async (end, code) => {
    for (let i = 0; i < 3; i++) {
      const result = await runProcess(end);
      expect(result.code, result.stderr).toBe(code);
    }
  });
});
