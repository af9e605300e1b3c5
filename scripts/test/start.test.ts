import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');

let data = '';
beforeEach(async () => {
  data = await mkdtemp(path.join(tmpdir(), 'sunstar-start-test-'));
});
afterEach(() => rm(data, { recursive: true, force: true }));

/** Sends one inline command and gives the first bytes of the reply. */
async function ask(port: number, command: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  socket.setEncoding('latin1').write(`${command}\r\n`);
  const [reply] = (await once(socket, 'data')) as [string];
  socket.destroy();
  return reply;
}

function killGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, 'SIGKILL');
  } catch {
    // Nobody is left.
  }
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  'npm start serves, and ends with 0 on %s to npm',
  async (signal) => {
    const args = [
      'start',
      '--silent',
      '--',
      '--port',
      '0',
      '--shards',
      '1',
      '--memory',
      '64MiB',
      '--data',
      data,
    ];
    // A process group of its own, so that a failed test leaves nothing behind.
    const npm = spawn('npm', args, { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    onTestFinished(() => killGroup(npm.pid));
    let output = '';
    npm.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const exited = once(npm, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    const port = await new Promise<number>((resolve, reject) => {
      npm.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const match = /listens on 127\.0\.0\.1:(\d+)/.exec(output);
        if (match !== null) resolve(Number(match[1]));
      });
      npm.once('exit', () => reject(new Error(`ended early:\n${output}`)));
    });
    expect(await ask(port, 'PING')).toBe('+PONG\r\n');
    npm.kill(signal);
    expect(await exited, output).toEqual([0, null]);
    await expect(ask(port, 'PING')).rejects.toThrow(/ECONNREFUSED/);
  },
  60_000,
);
