import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Logger } from '../log.js';
import type { MetricFamily } from '../metrics/index.js';
import { newSocketName, safeInspectDirectory } from './inspect-directory.js';

const MAX_CONNECTIONS = 8;
const MAX_REQUEST_BYTES = 64;
const IDLE_TIMEOUT_MS = 60_000;

/** An answer of an {@link InspectServer}, one line of JSON. */
export interface InspectAnswer {
  readonly pid: number;
  readonly entry: string;
  /** What the main thread and each shard that answered have collected. */
  readonly metrics: readonly (readonly MetricFamily[])[];
}

/**
 * Tells the metrics to `sunstar top`, over a Unix socket in a directory that only this user can enter: each line that
 * comes in is a request for one {@link InspectAnswer}.
 */
export class InspectServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(answer: () => Promise<InspectAnswer>) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      // Whoever looks may go away at any time.
      socket.on('error', () => socket.destroy());
      socket.setTimeout(IDLE_TIMEOUT_MS, () => socket.destroy());
      let busy = false;
      socket.on('data', (bytes) => {
        if (busy || bytes.length > MAX_REQUEST_BYTES || !bytes.includes(10)) {
          socket.destroy();
          return;
        }
        busy = true;
        answer().then(
          (content) => {
            busy = false;
            socket.write(`${JSON.stringify(content)}\n`);
          },
          () => socket.destroy(),
        );
      });
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.unref();
  }

  /** Nothing that this needs may keep a program from running: without it the log says why. */
  static async listen(answer: () => Promise<InspectAnswer>, log: Logger): Promise<InspectServer | undefined> {
    const self = new InspectServer(answer);
    try {
      const path = join(safeInspectDirectory(), newSocketName());
      // Left by a process that had the same number.
      rmSync(path, { force: true });
      await new Promise<void>((resolve, reject) => {
        self.#server.once('error', reject);
        self.#server.listen(path, resolve);
      });
      return self;
    } catch (error) {
      log.warn({ err: error }, 'sunstar top cannot attach to this process');
      return undefined;
    }
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
