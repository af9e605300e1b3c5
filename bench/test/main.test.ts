import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const program = path.resolve(import.meta.dirname, '../dist/main.js');

interface Outcome {
  code: number | string | null | undefined;
  stdout: string;
  stderr: string;
}

function bench(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { timeout: 15_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

describe('npm run bench', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'sunstar-bench-test-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test('lists the benchmarks when none is named', async () => {
    const { code, stdout } = await bench();
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}alloc +allocate and free/m);
    expect(stdout).toMatch(/^ {2}ring +a no-op/m);
    expect(stdout).not.toMatch(/^ {2}(main|child) /m);
  });

  test.each([
    [['nothing'], /no benchmark named nothing; there are: .*ring/],
    [['ring', '--rounds', '0'], /--rounds must be a whole number from 1 to 1000, not "0"/],
    [['ring', '--wrong'], /--wrong/],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await bench(...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  test('fails, with the reason, when no case has the name', async () => {
    const { code, stderr } = await bench('alloc', '--case', 'nowhere');
    expect(code).toBe(1);
    expect(stderr).toMatch(/no case of alloc has "nowhere" in its name/);
  });

  test('measures and writes a table and JSON', async () => {
    const file = path.join(directory, 'alloc.json');
    const { code, stdout } = await bench(
      'alloc',
      '--case',
      '64 B, allocate',
      '--rounds',
      '2',
      '--json',
      file,
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/64 B, allocate and free.*Buffer\.allocUnsafe .*ns\/pair/);
    const report = JSON.parse(await readFile(file, 'utf8')) as { name: string; rows: object[] };
    expect(report.name).toBe('alloc');
    expect(report.rows).toHaveLength(3);
    expect(report.rows[1]).toEqual({
      case: '64 B, allocate and free',
      peer: 'Buffer.allocUnsafeSlow',
      unit: 'ns/pair',
      ours: expect.any(Number) as number,
      theirs: expect.any(Number) as number,
      ratio: expect.any(Number) as number,
      ratioMin: expect.any(Number) as number,
      ratioMax: expect.any(Number) as number,
      rounds: 2,
      higherIsBetter: false,
    });
  });
});
