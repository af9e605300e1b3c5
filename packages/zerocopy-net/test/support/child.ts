import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The path of a program under test/fixtures. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

/** A fixture in a process of its own, which talks in lines. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly errors: string[] = [];
  readonly exited: Promise<number | string>;
  readonly #lines: Interface;
  readonly #queue: string[] = [];
  /** It has ended and everything that it printed is here. */
  #isOver = false;

  /** @param prefix - Shell commands that run before, for example a limit. */
  constructor(name: string, args: readonly string[] = [], prefix = '') {
    const command = [process.execPath, fixture(name), ...args].map((part) => `'${part}'`).join(' ');
    this.process = spawn('sh', ['-c', `${prefix} exec ${command}`], { stdio: 'pipe' });
    this.exited = once(this.process, 'exit').then(([code, signal]) => (signal ?? code) as number | string);
    this.process.on('close', () => {
      this.#isOver = true;
    });
    this.process.stderr?.on('data', (data: Buffer) => this.errors.push(data.toString()));
    this.#lines = createInterface({ input: this.process.stdout as NodeJS.ReadableStream });
    this.#lines.on('line', (line) => this.#queue.push(line));
  }

  /** The next line that it prints. Fails when it ends without one, also by a signal. */
  async line(): Promise<string> {
    while (this.#queue.length === 0) {
      if (this.#isOver) {
        const { exitCode, signalCode } = this.process;
        throw new Error(`the child has ended with ${signalCode ?? exitCode}: ${this.errors.join('')}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return this.#queue.shift() ?? '';
  }

  async ask(question: string): Promise<Record<string, number>> {
    this.tell(question);
    return JSON.parse(await this.line()) as Record<string, number>;
  }

  tell(what: string): void {
    this.process.stdin?.write(`${what}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill('SIGKILL');
    await this.exited;
  }
}
