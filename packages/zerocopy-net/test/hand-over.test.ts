import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Runtime } from '@sunstar/runtime';
import { describe, expect, test, vi } from 'vitest';
import { Child } from './support/child.ts';

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

/** A directory and a port of its own for each test, so that they can run at the same time. */
class Place implements AsyncDisposable {
  readonly directory: string = join(mkdtempSync(join(tmpdir(), 'sunstar-hand-over-')), 'run');
  readonly port: number;
  readonly #children: Child[] = [];

  private constructor(port: number) {
    this.port = port;
  }

  static async find(): Promise<Place> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    return new Place(port);
  }

  /** The path of the Unix socket on which it listens, too. */
  get path(): string {
    return `${this.directory}.sock`;
  }

  async start(shards: number, fault = ''): Promise<Child> {
    const child = new Child('hand-over-server.mjs', [
      this.directory,
      String(this.port),
      String(shards),
      fault,
    ]);
    this.#children.push(child);
    if (fault === '') expect(await child.line()).toBe('ready');
    return child;
  }

  /** Why this very process cannot take over. */
  async refusal(): Promise<unknown> {
    const options = {
      shards: 1,
      memory: '32MiB',
      placement: 'unbound',
      log: 'silent',
      advice: false,
    } as const;
    const entry = new URL('./fixtures/hand-over-shard.mjs', import.meta.url);
    try {
      await (await Runtime.start({ ...options, entry, handOver: this.directory })).stop();
      return 'none';
    } catch (error) {
      return (error as { code: unknown }).code;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await child[Symbol.asyncDispose]();
    rmSync(join(this.directory, '..'), { recursive: true });
  }
}

/** One connection that sends lines and waits for the answers. */
class Client {
  readonly socket: Socket;
  #text = '';
  #waiting: { resolve: (pid: string) => void; reject: (error: Error) => void } | undefined;

  constructor(where: Place | string) {
    this.socket = typeof where === 'string' ? connect(where) : connect(where.port, '127.0.0.1');
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
async function servedBy(process: Child, where: Place | string): Promise<Client> {
  for (;;) {
    const client = new Client(where);
    const pid = await client.ask().catch(() => undefined);
    if (pid === String(process.process.pid)) return client;
    client.socket.destroy();
  }
}

/** Whether a process answers at both addresses. */
async function serves(process: Child, place: Place): Promise<void> {
  for (const where of [place, place.path]) {
    const client = new Client(where);
    expect(await client.ask()).toBe(String(process.process.pid));
    client.socket.destroy();
  }
}

/** Clients that connect, ask twice and leave, all the time. */
class Hammer {
  readonly failures: string[] = [];
  readonly answers = new Map<string, number>();
  #stop = false;
  readonly #done: Promise<unknown>;

  constructor(place: Place, clients: number) {
    this.#done = Promise.all(Array.from({ length: clients }, () => this.#run(place)));
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#done;
  }

  async #run(place: Place): Promise<void> {
    while (!this.#stop) {
      const client = new Client(place);
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

describe.concurrent('a successor', () => {
  test('takes over under load with more shards, then fewer: no connection is refused or reset', async () => {
    await using place = await Place.find();
    const children: Child[] = [await place.start(2)];
    const hammer = new Hammer(place, 3);
    try {
      for (const shards of [3, 1]) {
        const last = children[children.length - 1];
        const next = await place.start(shards);
        children.push(next);
        expect(await last.line()).toBe('ended true');
        expect(await last.exited).toBe(0);
        // Only the successor is left, and serves.
        const client = new Client(place);
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
    }
  });

  test('leaves connections that are open to the process before, which ends with the last of them', async () => {
    await using place = await Place.find();
    const first = await place.start(1);
    const client = new Client(place);
    const pid = await client.ask();
    const second = await place.start(1);
    expect(await client.ask()).toBe(pid);
    const other = await servedBy(second, place);
    // The Unix socket is found under its path, now and when the first process has ended.
    await servedBy(second, place.path);
    expect(first.process.exitCode).toBe(null);
    client.socket.end();
    expect(await first.line()).toBe('ended true');
    expect(await first.exited).toBe(0);
    expect(await new Client(place.path).ask()).toBe(String(second.process.pid));
    other.socket.destroy();
  });

  test('that fails to start leaves everything as it was', async () => {
    await using place = await Place.find();
    const first = await place.start(1);
    const hammer = new Hammer(place, 1);
    const second = await place.start(1, 'fails');
    expect(await second.exited).toBe(1);
    await hammer.stop();
    expect(hammer.failures).toEqual([]);
    await serves(first, place);
  });

  test('that fails when it has accepted already leaves the addresses to the process before', async () => {
    await using place = await Place.find();
    const first = await place.start(1);
    const second = await place.start(2, 'fails late');
    expect(await second.exited).toBe(1);
    await serves(first, place);
  });

  test('starts after a process that crashed, as the first one', async () => {
    await using place = await Place.find();
    const first = await place.start(1);
    await first[Symbol.asyncDispose]();
    // A path outlives a crash, and it is not the library that may remove it.
    rmSync(place.path);
    const second = await place.start(1);
    const client = new Client(place);
    expect(await client.ask()).toBe(String(second.process.pid));
    client.socket.destroy();
  });

  test('that says anything but that it is ready is left alone, and no other user can say anything', async () => {
    await using place = await Place.find();
    const child = await place.start(1);
    expect(statSync(place.directory).mode & 0o777).toBe(0o700);
    expect(child.errors).toEqual([]);
    const socket = connect(join(place.directory, 'hand-over.sock'));
    socket.on('error', () => {});
    socket.resume();
    socket.write('quit');
    await new Promise((resolve) => socket.on('close', resolve));
    const client = new Client(place);
    expect(await client.ask()).toBe(String(child.process.pid));
    client.socket.destroy();
  });
});

describe('the directory', () => {
  test.each(['open to others', 'a file'])('is refused when it is %s', async (what) => {
    await using place = await Place.find();
    if (what === 'a file') writeFileSync(place.directory, '');
    else {
      mkdirSync(place.directory);
      chmodSync(place.directory, 0o755);
    }
    expect(await place.refusal()).toBe('SUNSTAR_HAND_OVER_UNSAFE');
  });

  test('in which somebody talks nonsense is refused', async () => {
    await using place = await Place.find();
    mkdirSync(place.directory, { mode: 0o700 });
    // On another thread, because taking over blocks this one.
    const nonsense = `
      const { parentPort, workerData } = require('node:worker_threads');
      require('node:net')
        .createServer((socket) => socket.end(Buffer.alloc(256, 'x')))
        .listen(workerData, () => parentPort.postMessage('listens'));`;
    const worker = new Worker(nonsense, { eval: true, workerData: join(place.directory, 'hand-over.sock') });
    await new Promise((resolve) => worker.once('message', resolve));
    expect(await place.refusal()).toBe('SUNSTAR_HAND_OVER_FAILED');
    await worker.terminate();
  });
});
