import { setImmediate as immediate } from 'node:timers/promises';
import { maxConcurrentForEach, parallelForEach, whenAllSucceed, yieldNow } from '@sunstar/runtime';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import type { BenchmarkCase } from '../harness/benchmark.js';
import { futuresCase, ITEMS, RESOLVED, suspended, times } from './futures-case.js';

const CONCURRENCY = 10;

/** Loops over many, and waits for all. */
export function loopCases(): BenchmarkCase[] {
  const items = Array.from({ length: ITEMS }, (_, index) => index);
  const limit = pLimit(CONCURRENCY);
  const queue = new PQueue({ concurrency: CONCURRENCY });
  const visitLater = async (item: number): Promise<number> => {
    await RESOLVED;
    return item + 1;
  };
  // What a function looks like that only sometimes has to wait: here, never.
  const visit = (item: number): unknown => (item < 0 ? visitLater(item) : item + 1);
  return [
    futuresCase(
      `parallelForEach(${ITEMS}), ready`,
      async () => {
        await parallelForEach(items, visit);
      },
      {
        'Promise.all': async () => {
          await Promise.all(items.map(visit));
        },
      },
      ITEMS,
    ),
    futuresCase(
      `parallelForEach(${ITEMS}), suspended`,
      () => parallelForEach(items, visitLater),
      {
        'Promise.all': async () => {
          await Promise.all(items.map(visitLater));
        },
      },
      ITEMS,
    ),
    futuresCase(
      `maxConcurrentForEach(${ITEMS}, ${CONCURRENCY}), suspended`,
      () => maxConcurrentForEach(items, CONCURRENCY, visitLater),
      {
        'p-limit': async () => {
          await Promise.all(items.map((item) => limit(visitLater, item)));
        },
        'p-queue': async () => {
          await queue.addAll(items.map((item) => () => visitLater(item)));
        },
      },
      ITEMS,
    ),
    futuresCase('whenAllSucceed of 2 yields', () => times(() => whenAllSucceed(yieldNow(), yieldNow())), {
      'Promise.all of 2 setImmediate': () => times(() => Promise.all([immediate(), immediate()])),
    }),
    futuresCase(
      'whenAllSucceed of 2 that are suspended',
      () => times(() => whenAllSucceed(suspended(), suspended())),
      {
        'Promise.all': () => times(() => Promise.all([suspended(), suspended()])),
        'Promise.allSettled': () => times(() => Promise.allSettled([suspended(), suspended()])),
      },
    ),
  ];
}
