import type { BenchmarkCase } from '../harness/benchmark.js';
import { garbageBytesPerOperation } from '../harness/garbage.js';
import { nanosecondsPerOperation } from '../harness/timing.js';

/** Does a number of operations, and leaves everything as it was. */
export type Body = () => void;

/** One kind of work, by everybody who can do it. A body does `operations` operations and leaves nothing behind. */
export interface Work {
  readonly name: string;
  readonly operations: number;
  readonly ours: Body;
  readonly peers: Readonly<Record<string, Body>>;
}

// The result of every operation is used: a loop without effects might be compiled away.
let sink = 0;

/** Stays a small integer: a larger number would be an object, and so garbage of the benchmark's own. */
export function use(value: number): void {
  sink = (sink + value) & 0xffff;
}

export function caseOf({ name, operations, ours, peers }: Work): BenchmarkCase {
  const measure = (body: Body) => (): Promise<number[]> =>
    Promise.resolve([nanosecondsPerOperation(operations, body), garbageBytesPerOperation(operations, body)]);
  return {
    metrics: [
      { case: name, unit: 'ns/op', higherIsBetter: false },
      { case: `${name}: garbage`, unit: 'B/op', higherIsBetter: false },
    ],
    ours: measure(ours),
    peers: Object.entries(peers).map(([peer, body]) => ({ peer, measure: measure(body) })),
  };
}

export function patternOf(sizeBytes: number): Buffer {
  return Buffer.from(Array.from({ length: sizeBytes }, (_, i) => (i * 31 + (i >> 8)) % 251));
}

/** Throws unless the operations had results. */
export function checkUsed(): void {
  if (Number.isNaN(sink)) throw new Error('an operation returned no number');
}
