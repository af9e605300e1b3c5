import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { type CpuSeconds, cpuSecondsOf, end } from './child-process.js';

const START_TIMEOUT_MS = 20_000;
const PROBE_MS = 50;

/** A server program on one CPU that prints the port it listens on as the first line of its output. */
export class ServerProcess {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /**
   * Starts a program; resolves when it has told its port.
   *
   * @param ownPort - Of a program that tells none: resolves when it accepts connections there.
   * @param probePrefix - Put in front of the command that tries to connect: where the program is reached from.
   */
  static async start(
    cpu: number,
    command: readonly string[],
    ownPort?: number,
    ownHost = '127.0.0.1',
    probePrefix: readonly string[] = [],
  ): Promise<ServerProcess> {
    const child = spawn('taskset', ['-c', String(cpu), ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
    const output: string[] = [];
    const port = await new Promise<number>((resolve, reject) => {
      const fail = (why: string): void => {
        clearTimeout(timer);
        clearInterval(probe);
        child.kill('SIGKILL');
        reject(new Error(`${command.join(' ')} ${why}:\n${output.join('')}`));
      };
      const timer = setTimeout(() => fail('told no port in time'), START_TIMEOUT_MS);
      child.stderr.on('data', (data: Buffer) => output.push(data.toString()));
      child.once('error', (error) => fail(error.message));
      child.once('exit', () => fail('ended'));
      child.stdout.on('data', (data: Buffer) => {
        output.push(data.toString());
        const line = /^(\d+)\n/.exec(output.join(''));
        if (line !== null) settle(Number(line[1]));
      });
      const settle = (port: number): void => {
        clearTimeout(timer);
        clearInterval(probe);
        resolve(port);
      };
      const probe = setInterval(() => {
        if (ownPort === undefined) return;
        const [program, ...rest] = [...probePrefix, 'bash', '-c', `exec 3<>/dev/tcp/${ownHost}/${ownPort}`];
        execFile(program, rest, (error) => {
          if (error === null) settle(ownPort);
        });
      }, PROBE_MS);
    });
    return new ServerProcess(child, port);
  }

  /** What it has used so far, in steps of 10 ms. */
  cpuSeconds(): CpuSeconds {
    return cpuSecondsOf(this.#child);
  }

  stop(): Promise<void> {
    return end(this.#child);
  }
}
