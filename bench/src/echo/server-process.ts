import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type CpuSeconds, cpuSecondsOf, end } from '../harness/child-process.js';

/** A server program on one CPU, which prints "ready". */
export class EchoServer {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
  }

  static async start(cpu: number, port: number, command: readonly string[]): Promise<EchoServer> {
    const child = spawn('taskset', ['-c', String(cpu), ...command, String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      if (line === 'ready') return new EchoServer(port, child);
    }
    throw new Error(`${command.join(' ')} did not start`);
  }

  /** What it has used so far, in steps of 10 ms. */
  cpuSeconds(): CpuSeconds {
    return cpuSecondsOf(this.#child);
  }

  stop(): Promise<void> {
    return end(this.#child);
  }
}
