import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSecondsOf, end, hasEnded } from '../harness/child-process.js';

const START_TIMEOUT_MS = 20_000;

/** A server program on one CPU, which answers PING on a port of 127.0.0.1. */
export class ServerProcess {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #output: string[] = [];

  private constructor(cpu: number, port: number, command: readonly string[]) {
    this.port = port;
    this.#child = spawn('taskset', ['-c', String(cpu), ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout?.on('data', (data: Buffer) => this.#output.push(data.toString()));
    this.#child.stderr?.on('data', (data: Buffer) => this.#output.push(data.toString()));
  }

  /** Starts the program; resolves when it answers. */
  static async start(cpu: number, port: number, command: readonly string[]): Promise<ServerProcess> {
    const server = new ServerProcess(cpu, port, command);
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await answersPing(port))) {
      if (hasEnded(server.#child) || performance.now() > deadline) {
        await server.stop();
        throw new Error(`${command.join(' ')} did not start:\n${server.#output.join('')}`);
      }
      await sleep(50);
    }
    return server;
  }

  /** CPU time that the program has used, all threads, user and kernel. Counts in steps of 10 ms. */
  cpuSeconds(): number {
    const { user, kernel } = cpuSecondsOf(this.#child);
    return user + kernel;
  }

  stop(): Promise<void> {
    return end(this.#child, 'SIGTERM');
  }
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('data', (data) => {
      resolve(data.toString().startsWith('+PONG'));
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}
