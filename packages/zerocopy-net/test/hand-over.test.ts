import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Child } from './support/child.ts';

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

let directory: string;
let port: number;

beforeEach(async () => {
  directory = join(mkdtempSync(join(tmpdir(), 'sunstar-hand-over-')), 'run');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as { port: number }).port;
  await new Promise((resolve) => server.close(resolve));
});

afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

async function start(shards: number, fault = ''): Promise<Child> {
  const child = new Child('hand-over-server.mjs', [directory, String(port), String(shards), fault]);
  if (fault === '') expect(await child.line()).toBe('ready');
  return child;
}

/** One connection that sends lines and waits for the answers. */
class Client {
  readonly socket: Socket;
  #text = '';
  #waiting: { resolve: (pid: string) => void; reject: (error: Error) => void } | undefined;

  constructor(path?: string) {
    this.socket = path === undefined ? connect(port, '127.0.0.1') : connect(path);
    this.socket.on('data', (data: Buffer) => {
      this.#text += data.toString();
      if (!this.#text.endsWith('\n')) return;
      this.#waiting?.resolve(this.#text.split(' ')[0]);
      this.#text = '';
    });
    const fail = (error?: Error): void => this.#waiting?.reject(error ?? new Error('closed too early'));
    this.socket.on('error', fail);
    this.socket.on('close', () => fail());
  }

  /** The process that answers. */
  ask(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.socket.write('which\n');
    });
  }
}

/** A connection that a process serves: the one before may go on accepting until it knows of its successor. */
async function servedBy(process: Child, path?: string): Promise<Client> {
  for (;;) {
    const client = new Client(path);
    const pid = await client.ask().catch(() => undefined);
    if (pid === String(process.process.pid)) return client;
    client.socket.destroy();
  }
}

/** Clients that connect, ask twice and leave, all the time. */
class Hammer {
  readonly failures: string[] = [];
  readonly answers = new Map<string, number>();
  #stop = false;
  readonly #done: Promise<unknown>;

  constructor(clients: number) {
    this.#done = Promise.all(Array.from({ length: clients }, () => this.#run()));
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stop) {
      const client = new Client();
      try {
        for (let i = 0; i < 2; i++) {
          const pid = await client.ask();
          this.answers.set(pid, (this.answers.get(pid) ?? 0) + 1);
        }
      } catch (error) {
        this.failures.push(String(error));
      }
      client.socket.destroy();
    }
  }
}

describe('a successor', () => {
  test('takes over under load with more shards, then fewer: no connection is refused or reset', async () => {
    const children: Child[] = [await start(2)];
    const hammer = new Hammer(3);
    try {
      for (const shards of [3, 1]) {
        const last = children[children.length - 1];
        const next = await start(shards);
        children.push(next);
        expect(await last.line()).toBe('ended true');
        expect(await last.exited).toBe(0);
        // Only the successor is left, and serves.
        const client = new Client();
        expect(await client.ask()).toBe(String(next.process.pid));
        client.socket.destroy();
      }
      await hammer.stop();
      expect(hammer.failures).toEqual([]);
      expect(hammer.answers.size).toBe(3);
      children[2].process.kill('SIGTERM');
      expect(await children[2].line()).toBe('ended false');
      expect(await children[2].exited).toBe(0);
    } finally {
      await hammer.stop();
      for (const child of children) await child[Symbol.asyncDispose]();
    }
  });

  test('leaves connections that are open to the process before, which ends with the last of them', async () => {
    await using first = await start(1);
    const client = new Client();
    const pid = await client.ask();
    await using second = await start(1);
    expect(await client.ask()).toBe(pid);
    const other = await servedBy(second);
    // The Unix socket is found under its path, now and when the first process has ended.
    const path = `${directory}.sock`;
    await servedBy(second, path);
    expect(first.process.exitCode).toBe(null);
    client.socket.end();
    expect(await first.line()).toBe('ended true');
    expect(await first.exited).toBe(0);
    expect(await new Client(path).ask()).toBe(String(second.process.pid));
    other.socket.destroy();
  });

  test('that fails to start leaves everything as it was', async () => {
    await using first = await start(1);
    const hammer = new Hammer(1);
    await using second = await start(1, 'fails');
    expect(await second.exited).toBe(1);
    await hammer.stop();
    expect(hammer.failures).toEqual([]);
    const client = new Client();
    expect(await client.ask()).toBe(String(first.process.pid));
    client.socket.destroy();
  });

  test('starts after a process that crashed, as the first one', async () => {
    const first = await start(1);
    await first[Symbol.asyncDispose]();
    // A path outlives a crash, and it is not the library that may remove it.
    rmSync(`${directory}.sock`);
    await using second = await start(1);
    const client = new Client();
    expect(await client.ask()).toBe(String(second.process.pid));
    client.socket.destroy();
  });
});

describe('the directory', () => {
  test('is made for this user only', async () => {
    await using child = await start(1);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(child.errors).toEqual([]);
  });

  test.each(['open to others', 'a file'])('is refused when it is %s', async (what) => {
    if (what === 'a file') writeFileSync(directory, '');
    else {
      mkdirSync(directory);
      chmodSync(directory, 0o755);
    }
    await using child = await start(1, 'unsafe');
    expect(await child.exited).toBe(1);
    expect(child.errors.join('')).toContain('SUNSTAR_HAND_OVER_UNSAFE');
  });

  test('in which somebody talks nonsense is refused', async () => {
    mkdirSync(directory, { mode: 0o700 });
    const server = createServer((socket) => socket.end(Buffer.alloc(256, 'x')));
    await new Promise<void>((resolve) => server.listen(join(directory, 'hand-over.sock'), resolve));
    await using child = await start(1, 'nonsense');
    expect(await child.exited).toBe(1);
    expect(child.errors.join('')).toContain('SUNSTAR_HAND_OVER_FAILED');
    await new Promise((resolve) => server.close(resolve));
  });

  test('in which somebody says anything but that he is ready is left alone', async () => {
    await using child = await start(1);
    const socket = connect(join(directory, 'hand-over.sock'));
    socket.on('error', () => {});
    socket.resume();
    socket.write('quit');
    await new Promise((resolve) => socket.on('close', resolve));
    const client = new Client();
    expect(await client.ask()).toBe(String(child.process.pid));
    client.socket.destroy();
  });
});
