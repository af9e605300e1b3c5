// The other side of the peers: raw postMessage when it is a worker of its own, a task for piscina.
import { parentPort, workerData } from 'node:worker_threads';
import { native } from '@sunstar/native';

const { cpu } = workerData as { cpu: number | undefined };
if (cpu !== undefined) native.pinThread([cpu]);

/** A request of the raw peer, and its answer; one without an id is not answered. */
export interface Envelope {
  readonly id?: number;
  readonly left: number;
  readonly right: number;
}

export default function add({ left, right }: { left: number; right: number }): number {
  return left + right;
}

/** Answers requests that come with postMessage. */
export function serve(): void {
  let sum = 0;
  parentPort?.on('message', ({ id, left, right }: Envelope) => {
    if (id === undefined) {
      sum += left;
      return;
    }
    parentPort?.postMessage({ id, left: add({ left, right }), right: sum });
  });
}
