import { setImmediate as immediate } from 'node:timers/promises';
import { ConditionVariable, Mutex, maybeYield, SharedPromise, yieldNow } from '@sunstar/runtime';
import { Mutex as AsyncMutex } from 'async-mutex';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import type { BenchmarkCase } from '../harness/benchmark.js';
import { nanosecondsInTurns } from '../harness/timing.js';
import { type Body, futuresCase, ITEMS, nothing, OPERATIONS, RESOLVED, times } from './futures-case.js';

/** Links of a chain. */
const LINKS = 100;

/** What was got goes here, so that it is not optimised away. */
const sink = { sum: 0 };
const increment = (value: number): number => value + 1;

/** What is there already: made, got, awaited, continued. */
function readyCases(): BenchmarkCase[] {
  const shared = new SharedPromise<number>();
  shared.resolve(1);
  const resolved = Promise.resolve(1);
  const limit = pLimit(1);
  const queue = new PQueue({ concurrency: 1 });
  const returns = async (value: number): Promise<number> => value;
  const thenOf = (promise: () => Promise<number>) => async (): Promise<void> => {
    let last = resolved;
    for (let i = 0; i < OPERATIONS; i++) last = promise().then(increment);
    await last;
  };
  return [
    futuresCase(
      'a result made, and got',
      () => {
        for (let i = 0; i < OPERATIONS; i++) {
          const result = new SharedPromise<number>();
          result.resolve(i);
          sink.sum += result.get();
        }
      },
      {
        'Promise.resolve(), awaited': async () => {
          for (let i = 0; i < OPERATIONS; i++) sink.sum += await Promise.resolve(i);
        },
        'async function, awaited': async () => {
          for (let i = 0; i < OPERATIONS; i++) sink.sum += await returns(i);
        },
        'p-limit': async () => {
          for (let i = 0; i < OPERATIONS; i++) sink.sum += await limit(increment, i);
        },
        'p-queue': async () => {
          for (let i = 0; i < OPERATIONS; i++) sink.sum += await queue.add(() => returns(i));
        },
      },
    ),
    futuresCase(
      'a result that is there, got',
      () => {
        for (let i = 0; i < OPERATIONS; i++) sink.sum += shared.get();
      },
      { 'resolved promise, awaited': () => times(() => resolved) },
    ),
    futuresCase('await of a shared result that is there', () => times(() => shared.wait()), {
      'resolved promise': () => times(() => resolved),
    }),
    futuresCase(
      '.then on a result that is there',
      thenOf(() => shared.wait()),
      { 'resolved promise': thenOf(() => resolved) },
    ),
  ];
}

/** What another task brings about. */
function pendingCases(): BenchmarkCase[] {
  const condition = new ConditionVariable();
  let resume: () => void = nothing;
  const capture = (resolve: () => void): void => {
    resume = resolve;
  };
  const waits = (wait: () => Promise<unknown>, wake: () => void): Body => {
    return async () => {
      for (let i = 0; i < OPERATIONS; i++) {
        const promise = wait();
        wake();
        await promise;
      }
    };
  };
  const newPromise = (): Promise<void> => new Promise<void>(capture);
  const wake = (): void => resume();
  const chain = (first: Promise<number>): Promise<number> => {
    let last = first;
    for (let i = 0; i < LINKS; i++) last = last.then(increment);
    return last;
  };
  const nested = async (depth: number, first: Promise<number>): Promise<number> =>
    (depth === 0 ? await first : await nested(depth - 1, first)) + 1;
  let start: (value: number) => void = nothing;
  const captureStart = (resolve: (value: number) => void): void => {
    start = resolve;
  };
  const ofShared = (work: (first: Promise<number>) => Promise<number>) => async (): Promise<void> => {
    const first = new SharedPromise<number>();
    const last = work(first.wait());
    first.resolve(0);
    sink.sum += await last;
  };
  const ofPromise = (work: (first: Promise<number>) => Promise<number>) => async (): Promise<void> => {
    const last = work(new Promise<number>(captureStart));
    start(0);
    sink.sum += await last;
  };
  return [
    futuresCase(
      'a wait that another task ends',
      waits(
        () => condition.wait(),
        () => condition.signal(),
      ),
      { 'new Promise': waits(newPromise, wake) },
    ),
    futuresCase(
      'a wait that another task ends, .then, and await',
      waits(
        () => condition.wait().then(nothing),
        () => condition.signal(),
      ),
      { 'new Promise': waits(() => newPromise().then(nothing), wake) },
    ),
    futuresCase(
      `chain of ${LINKS} .then, a link`,
      ofShared(chain),
      { 'new Promise': ofPromise(chain) },
      LINKS,
    ),
    futuresCase(
      `${LINKS} async functions that await each other, one of them`,
      ofShared((first) => nested(LINKS, first)),
      { 'new Promise': ofPromise((first) => nested(LINKS, first)) },
      LINKS,
    ),
  ];
}

function yieldCases(): BenchmarkCase[] {
  const together = (wait: () => Promise<unknown>) => async (): Promise<void> => {
    for (let i = 0; i < OPERATIONS; i += ITEMS) await Promise.all(Array.from({ length: ITEMS }, wait));
  };
  return [
    {
      metrics: [{ case: 'maybeYield, nothing due', unit: 'ns/op', higherIsBetter: false }],
      // In a turn that lasted longer, it would be due.
      ours: () =>
        nanosecondsInTurns(OPERATIONS, () => {
          for (let i = 0; i < OPERATIONS; i++) if (maybeYield() !== undefined) sink.sum++;
        }),
      peers: [
        {
          peer: 'a look at performance.now()',
          measure: () =>
            nanosecondsInTurns(OPERATIONS, () => {
              for (let i = 0; i < OPERATIONS; i++) if (performance.now() < 0) sink.sum++;
            }),
        },
      ],
    },
    futuresCase('yield', () => times(yieldNow), {
      'setImmediate of node:timers/promises': () => times(() => immediate()),
    }),
    futuresCase(`yield, ${ITEMS} at the same time`, together(yieldNow), {
      'setImmediate of node:timers/promises': together(() => immediate()),
    }),
  ];
}

function errorCases(): BenchmarkCase[] {
  const mutex = new Mutex();
  const asyncMutex = new AsyncMutex();
  const limit = pLimit(1);
  const queue = new PQueue({ concurrency: 1 });
  const fail = async (): Promise<void> => {
    await RESOLVED;
    throw new Error('why');
  };
  return [
    futuresCase('throw and catch through a mutex', () => times(() => mutex.run(fail).catch(nothing)), {
      'async function alone': () => times(() => fail().catch(nothing)),
      'async-mutex': () => times(() => asyncMutex.runExclusive(fail).catch(nothing)),
      'p-limit': () => times(() => limit(fail).catch(nothing)),
      'p-queue': () => times(() => queue.add(fail).catch(nothing)),
    }),
  ];
}

/** Promises: ready, pending, chained, failed, and yields. */
export function promiseCases(): BenchmarkCase[] {
  return [...readyCases(), ...pendingCases(), ...yieldCases(), ...errorCases()];
}
