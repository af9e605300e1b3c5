import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** CPU time of a process, of all its threads. */
export interface CpuTime {
  readonly userSeconds: number;
  readonly kernelSeconds: number;
}

const TICKS_PER_SECOND = 100;

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
  cpuTime(): CpuTime {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8');
    // The second field is a name in parentheses that may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return {
      userSeconds: Number(fields[11]) / TICKS_PER_SECOND,
      kernelSeconds: Number(fields[12]) / TICKS_PER_SECOND,
    };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
