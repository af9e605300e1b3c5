import { rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { SunstarError } from '../errors.js';
import { inspectSockets } from './inspect-directory.js';
import type { InspectAnswer } from './inspect-server.js';

const MAX_ANSWER_CHARACTERS = 64 * 1024 * 1024;
const TIMEOUT_MS = 5000;

/** A process of this user that can be inspected. */
export interface InspectTarget {
  readonly pid: number;
  readonly path: string;
}

/** A connection to the {@link InspectServer} of a process. */
export class InspectClient {
  readonly #socket: Socket;
  #text = '';
  #settle: { resolve: (answer: InspectAnswer) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#onText(text));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the process has ended, or closed the connection')));
  }

  static async connect(path: string): Promise<InspectClient> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('connect', resolve);
    });
    socket.removeAllListeners('error');
    return new InspectClient(socket);
  }

  /** @throws SunstarError `SUNSTAR_INSPECT_FAILED` */
  async ask(): Promise<InspectAnswer> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<InspectAnswer>((resolve, reject) => {
        this.#settle = { resolve, reject };
        timer = setTimeout(() => reject(new Error(`no answer within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
        this.#socket.write('metrics\n');
      });
    } catch (cause) {
      throw new SunstarError(
        'SUNSTAR_INSPECT_FAILED',
        `The process does not tell its state: ${(cause as Error).message}.`,
        { cause },
      );
    } finally {
      clearTimeout(timer);
      this.#settle = undefined;
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #onText(text: string): void {
    this.#text += text;
    if (this.#text.length > MAX_ANSWER_CHARACTERS) {
      this.#fail(new Error(`an answer of more than ${MAX_ANSWER_CHARACTERS} characters`));
      this.close();
      return;
    }
    const end = this.#text.indexOf('\n');
    if (end < 0) return;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    try {
      this.#settle?.resolve(JSON.parse(line) as InspectAnswer);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    this.#settle?.reject(error);
  }
}

/** The processes of this user that can be inspected; what ended ones have left behind is removed. */
export async function inspectTargets(): Promise<InspectTarget[]> {
  const targets: InspectTarget[] = [];
  for (const target of inspectSockets()) {
    try {
      const client = await InspectClient.connect(target.path);
      client.close();
      targets.push(target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') rmSync(target.path, { force: true });
    }
  }
  return targets;
}
