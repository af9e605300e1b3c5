import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { expect } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** A directory that the caller removes. */
export function temporaryDirectory(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'sunstar-kv-'));
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export interface StartOptions {
  readonly data: string;
  readonly shards?: number;
  readonly fsync?: 'always' | 'everysec' | 'no';
  readonly args?: readonly string[];
}

/** Servers that run. None outlives the tests, also when one of them is given up because it takes too long. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** The server as a process of its own, as its users have it. */
export class ServerProcess {
  readonly port: number;
  readonly child: ChildProcess;
  /** What it has printed; grows. */
  readonly output: { stdout: string; stderr: string };
  readonly #exited: Promise<number | string>;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.child = child;
    this.output = { stdout: '', stderr: '' };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output.stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.output.stderr += text;
    });
    running.add(child);
    this.#exited = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        running.delete(child);
        resolve(code ?? signal ?? 'unknown');
      });
    });
  }

  /** Resolves when it listens; rejects with what it has printed when it ends before. */
  static async start(options: StartOptions): Promise<ServerProcess> {
    const server = await ServerProcess.spawn(options);
    const listening = (async () => {
      while (!server.output.stdout.includes('redis-cli'))
        await new Promise((resolve) => setTimeout(resolve, 5));
      return 'listening';
    })();
    const first = await Promise.race([listening, server.exited]);
    if (first !== 'listening') throw new Error(`the server ended with ${first}: ${server.output.stderr}`);
    return server;
  }

  static async spawn({
    data,
    shards = 1,
    fsync = 'everysec',
    args = [],
  }: StartOptions): Promise<ServerProcess> {
    const port = await freePort();
    const child = spawn(
      process.execPath,
      [
        MAIN,
        ...['--port', String(port), '--data', data, '--shards', String(shards), '--fsync', fsync],
        ...['--memory', `${128 * shards}MiB`, '--log-level', 'info', ...args],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    return new ServerProcess(port, child);
  }

  /** Exit code, or the signal that ended it. */
  get exited(): Promise<number | string> {
    return this.#exited;
  }

  /** Asks it to stop; returns how it ended. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.child.kill(signal);
    return this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#exited;
  }
}

/** A client that sends bytes as they are. */
export class RawClient {
  readonly socket: net.Socket;
  #received: Buffer = Buffer.alloc(0);
  #hasEnded = false;
  #changed: () => void = () => {};

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#changed();
    });
    // A reset is one way in which the server ends a connection.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#hasEnded = true;
      this.#changed();
    });
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  send(text: string | Buffer): void {
    this.socket.write(text);
  }

  /** Waits for exactly this text. */
  async expect(text: string): Promise<void> {
    await this.#until(() => this.#received.length >= text.length);
    const got = this.#received.subarray(0, text.length).toString('latin1');
    this.#received = this.#received.subarray(text.length);
    if (got !== text) throw new Error(`expected ${JSON.stringify(text)}, got ${JSON.stringify(got)}`);
  }

  /** Waits for a line, which is returned without its end. */
  async line(): Promise<string> {
    await this.#until(() => this.#received.includes('\r\n'));
    const end = this.#received.indexOf('\r\n');
    const line = this.#received.subarray(0, end).toString('latin1');
    this.#received = this.#received.subarray(end + 2);
    return line;
  }

  /** Everything up to the end of the connection. */
  async rest(): Promise<string> {
    while (!this.#hasEnded) await this.#change();
    return this.#received.toString('latin1');
  }

  get receivedBytes(): number {
    return this.#received.length;
  }

  close(): void {
    this.socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #until(isThere: () => boolean): Promise<void> {
    while (!isThere()) {
      if (this.#hasEnded) {
        throw new Error(`the connection ended after ${JSON.stringify(this.#received.toString('latin1'))}`);
      }
      await this.#change();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }
}

/** A command in RESP. */
export function resp(...args: (string | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = Buffer.from(arg);
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** The value of a line of INFO. */
export function infoValue(info: string, name: string): string {
  const match = new RegExp(`^${name}:(.*)$`, 'm').exec(info);
  if (match === null) throw new Error(`INFO has no line ${name}`);
  return match[1].trim();
}

/** Whether a program is installed. */
export function hasProgram(name: string): boolean {
  return (process.env.PATH ?? '').split(':').some((directory) => fs.existsSync(path.join(directory, name)));
}

/**
 * Whether this process may mount a loop device: root, on a kernel that lets it. Asked by trying, with a file system
 * of one megabyte.
 */
export function canMountLoop(): boolean {
  if (process.getuid?.() !== 0 || !hasProgram('mkfs.ext4') || !hasProgram('mount')) return false;
  const directory = temporaryDirectory();
  try {
    mountLoop(directory, 1)();
    return true;
  } catch {
    return false;
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Mounts a new file system of so many MiB at `directory/mount`; returns what takes it away again. */
export function mountLoop(directory: string, sizeMib: number): () => void {
  const image = path.join(directory, 'image');
  const mount = path.join(directory, 'mount');
  fs.mkdirSync(mount);
  fs.closeSync(fs.openSync(image, 'w'));
  fs.truncateSync(image, sizeMib * 1024 * 1024);
  execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image], { stdio: 'pipe' });
  execFileSync('mount', ['-o', 'loop', image, mount], { stdio: 'pipe' });
  return () => {
    execFileSync('umount', ['-l', mount], { stdio: 'pipe' });
    fs.rmSync(image, { force: true });
  };
}

/** Runs something with a server and a client of it. The server must stop in order, unless the body has killed it. */
export async function withServer<T>(
  options: StartOptions,
  body: (redis: Redis, server: ServerProcess) => Promise<T>,
): Promise<T> {
  await using server = await ServerProcess.start(options);
  const redis = new Redis(server.port);
  // A server that is killed ends the connection.
  redis.on('error', () => {});
  try {
    const result = await body(redis, server);
    if (!server.child.killed) expect(await server.stop(), server.output.stderr).toBe(0);
    return result;
  } finally {
    redis.disconnect();
  }
}

/** Starts a server that must not start; returns its exit code and what it says. */
export async function failingStart(options: StartOptions): Promise<{ code: number | string; said: string }> {
  await using server = await ServerProcess.spawn(options);
  const code = await server.exited;
  return { code, said: server.output.stderr };
}
