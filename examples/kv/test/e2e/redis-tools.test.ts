import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasProgram, ServerProcess, temporaryDirectory } from './support.ts';

const run = promisify(execFile);
const isInstalled = hasProgram('redis-cli') && hasProgram('redis-benchmark');

describe.skipIf(!isInstalled)('redis-cli and redis-benchmark', () => {
  let data: string;
  let server: ServerProcess;
  beforeAll(async () => {
    data = temporaryDirectory();
    server = await ServerProcess.start({ data, shards: 2 });
  });
  afterAll(async () => {
    expect(await server.stop('SIGINT'), server.output.stderr).toBe(0);
    fs.rmSync(data, { recursive: true });
  });

  async function cli(...args: string[]): Promise<string> {
    const { stdout } = await run('redis-cli', ['-p', String(server.port), ...args]);
    return stdout.trimEnd();
  }

  it('redis-cli does what the hint at the start says', async () => {
    expect(server.output.stdout).toContain(`redis-cli -p ${server.port} set greeting hello`);
    expect(await cli('set', 'greeting', 'hello')).toBe('OK');
    expect(await cli('get', 'greeting')).toBe('hello');
    expect(await cli('-3', 'get', 'greeting')).toBe('hello');
  });

  it('redis-cli reads commands from a pipe', async () => {
    const commands = Array.from({ length: 1000 }, (_, i) => `set pipe-${i} ${i}\n`).join('');
    const child = run('redis-cli', ['-p', String(server.port), '--pipe']);
    child.child.stdin?.end(commands);
    expect((await child).stdout).toContain('errors: 0, replies: 1000');
    expect(await cli('get', 'pipe-999')).toBe('999');
  });

  it('redis-cli finds keys with --scan, and reports --bigkeys', async () => {
    await cli('mset', 'scan-1', 'a', 'scan-2', 'b', 'scan-3', 'c');
    const found = await cli('--scan', '--pattern', 'scan-*');
    expect(found.split('\n').sort()).toEqual(['scan-1', 'scan-2', 'scan-3']);
    expect(await cli('--bigkeys')).toContain('strings');
  });

  it('redis-cli shows errors as they are', async () => {
    expect(await cli('nonsense')).toMatch(/^ERR unknown command 'nonsense'/);
    expect(await cli('get')).toBe("ERR wrong number of arguments for 'get' command");
  });

  it.each([1, 16])('redis-benchmark runs with pipelines of %i', async (pipeline) => {
    const args = [
      '-t',
      'ping,set,get,incr,mset',
      '-n',
      '5000',
      '-c',
      '30',
      '-r',
      '1000',
      '-P',
      String(pipeline),
    ];
    const { stdout, stderr } = await run('redis-benchmark', [
      '-p',
      String(server.port),
      ...args,
      '-q',
      '--csv',
    ]);
    expect(stderr.replace(/WARNING: Could not fetch server CONFIG\n?/, '')).toBe('');
    const tests = stdout.split('\n').filter((line) => /^"(PING|SET|GET|INCR|MSET)/.test(line));
    expect(tests.length).toBe(6);
    for (const line of tests) expect(Number(line.split(',')[1].replaceAll('"', ''))).toBeGreaterThan(0);
  });
});
