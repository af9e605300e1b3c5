import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Overview } from '@sunstar/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const cli = new URL('../../dist/cli/sunstar.js', import.meta.url).pathname;
const fixture = new URL('../fixtures/inspected-process.mjs', import.meta.url).pathname;

let directory: string;
let sockets: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sunstar-top-'));
  sockets = join(directory, 'sunstar');
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(directory, { recursive: true });
});

async function startProcess(mode = 'open'): Promise<{ child: ChildProcess; stderr: () => string }> {
  const child = spawn(process.execPath, [fixture, mode], {
    env: { ...process.env, XDG_RUNTIME_DIR: directory },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  children.push(child);
  let stderr = '';
  child.stderr.on('data', (bytes: Buffer) => {
    stderr += bytes.toString();
  });
  await once(child.stdout, 'data');
  return { child, stderr: () => stderr };
}

function sunstar(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const options = { env: { ...process.env, XDG_RUNTIME_DIR: directory }, timeout: 15_000 };
  return new Promise((resolve) => {
    execFile(process.execPath, [cli, ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

describe('sunstar top', () => {
  it('shows the shards and groups of a running process', async () => {
    const { child } = await startProcess();
    const { code, stdout, stderr } = await sunstar('top', '--once', '--interval', '0.3');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain(`process ${child.pid}, file://`);
    expect(stdout).toContain('observed-shard.mjs');
    expect(stdout).toMatch(/│ +0 │ +[\d.]+ % │/);
    expect(stdout).toMatch(/│ +1 │ +[\d.]+ % │/);
    expect(stdout).toMatch(/│ +1 │ work +│ +200 │/);

    // Who sends too much is dropped; others are not.
    const socket = connect(join(sockets, readdirSync(sockets)[0]));
    socket.on('error', () => {});
    socket.write('x'.repeat(1000));
    await once(socket, 'close');

    // And the same for scripts.
    const json = await sunstar('top', String(child.pid), '--once', '--json', '--interval', '0.5');
    const shown = JSON.parse(json.stdout) as Overview;
    expect(shown).toMatchObject({ pid: child.pid, silent: [] });
    expect(shown.shards).toHaveLength(2);
    for (const shard of shown.shards) {
      expect(shard.memoryTotalBytes).toBe(32 * 2 ** 20);
      expect(shard.utilisation).toBeGreaterThan(0);
      expect(shard.utilisation).toBeLessThanOrEqual(1);
      expect(shard.ticksPerSecond).toBeGreaterThan(0);
    }
    expect(shown.shards[1].callsServedPerSecond).toBeGreaterThan(0);
    expect(shown.groups).toContainEqual(expect.objectContaining({ shard: 0, group: 'work', shares: 200 }));

    // The socket is for this user alone, and goes with the runtime.
    expect(statSync(sockets).mode & 0o777).toBe(0o700);
    child.stdin?.end();
    await once(child, 'exit');
    expect(child.exitCode).toBe(0);
    expect(readdirSync(sockets)).toEqual([]);
  });

  it('asks which process when there are several, and says when there is none', async () => {
    expect(await sunstar('top', '--once')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('No process of this user can be inspected'),
    });
    const first = await startProcess();
    const second = await startProcess();
    const { code, stderr } = await sunstar('top', '--once');
    expect(code).toBe(1);
    expect(stderr).toContain('Say which process');
    for (const { child } of [first, second]) expect(stderr).toContain(String(child.pid));
  });

  it('removes what a killed process has left behind', async () => {
    const { child } = await startProcess();
    expect(readdirSync(sockets)).toHaveLength(1);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(readdirSync(sockets)).toHaveLength(1);
    expect((await sunstar('top', '--once')).code).toBe(1);
    expect(readdirSync(sockets)).toEqual([]);
  });

  it('explains itself, and refuses what it does not know', async () => {
    expect(await sunstar('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('Usage') });
    expect(await sunstar('bottom')).toMatchObject({ code: 2, stderr: expect.stringContaining('Usage') });
    expect((await sunstar('top', '--interval', '0')).code).toBe(2);
    expect(await sunstar('top', '--bogus')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--bogus'),
    });
  });
});

describe('the socket', () => {
  it('is not made when that is not wanted', async () => {
    await startProcess('closed');
    expect(existsSync(sockets)).toBe(false);
  });

  it('is not made in a directory that others may enter; the process runs all the same', async () => {
    mkdirSync(sockets);
    chmodSync(sockets, 0o755);
    const { stderr } = await startProcess();
    expect(stderr()).toContain('SUNSTAR_INSPECT_UNSAFE');
    expect(readdirSync(sockets)).toEqual([]);
  });

  it('is not made where there is a file in the way', async () => {
    writeFileSync(sockets, '');
    const { stderr } = await startProcess();
    expect(stderr()).toContain('sunstar top cannot attach');
  });
});
