import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** No-ops in batches of so many, or one at a time with a promise each. */
export type Work = number | 'promise';

/** A thread with an emulated ring, measured while this one waits. */
export class EmulatedThread {
  readonly #worker = new Worker(new URL('./emulated-thread.js', import.meta.url));

  /** @returns Nanoseconds for one operation. */
  async measure(work: Work): Promise<number> {
    this.#worker.postMessage(work);
    const [nanoseconds] = (await once(this.#worker, 'message')) as [number];
    return nanoseconds;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
