import type { BenchmarkCase, Peer } from '../harness/benchmark.js';
import { nanosecondsPerOperation, nanosecondsPerOperationAsync } from '../harness/timing.js';

export const OPERATIONS = 1_000;
export const ITEMS = 100;

/** `OPERATIONS` operations, unless the case says otherwise. */
export type Body = () => void | Promise<void>;

/** One row for each peer. What a body does synchronously is not charged for awaiting it. */
export function futuresCase(
  name: string,
  ours: Body,
  theirs: Readonly<Record<string, Body>>,
  operations: number = OPERATIONS,
): BenchmarkCase {
  const measure = (body: Body) => (): Promise<number> => {
    if (body() === undefined) {
      return Promise.resolve(nanosecondsPerOperation(operations, () => void body()));
    }
    return nanosecondsPerOperationAsync(operations, body as () => Promise<void>);
  };
  const peers: Peer[] = Object.entries(theirs).map(([peer, body]) => ({ peer, measure: measure(body) }));
  return { metrics: [{ case: name, unit: 'ns/op', higherIsBetter: false }], ours: measure(ours), peers };
}

/** One after the other. */
export async function times(work: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < OPERATIONS; i++) await work();
}

export const RESOLVED: Promise<void> = Promise.resolve();

export async function awaitResolved(): Promise<void> {
  for (let i = 0; i < OPERATIONS; i++) await RESOLVED;
}

export const nothing = (): void => undefined;

/** Has to be waited for: suspends once. */
export const suspended = async (): Promise<void> => {
  await RESOLVED;
};
