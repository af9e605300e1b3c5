import { Mutex, Semaphore } from '@sunstar/runtime';
import { Mutex as AsyncMutex, Semaphore as AsyncSemaphore } from 'async-mutex';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import type { BenchmarkCase } from '../harness/benchmark.js';
import { awaitResolved, futuresCase, nothing, OPERATIONS, suspended, times } from './futures-case.js';

/** Units of the semaphores that are contended: half of those who ask for one have to wait. */
const CONTENDED = OPERATIONS / 2;

/** Semaphores and mutexes. */
export function semaphoreCases(): BenchmarkCase[] {
  const semaphore = new Semaphore(CONTENDED);
  const asyncSemaphore = new AsyncSemaphore(CONTENDED);
  const limit = pLimit(CONTENDED);
  const queue = new PQueue({ concurrency: CONTENDED });
  const mutex = new Mutex();
  const asyncMutex = new AsyncMutex();
  return [
    futuresCase(
      'semaphore, free: try and release',
      () => {
        for (let i = 0; i < OPERATIONS; i++) if (semaphore.tryAcquire()) semaphore.release();
      },
      {
        'async-mutex, which has to be awaited': async () => {
          for (let i = 0; i < OPERATIONS; i++) {
            const [, release] = await asyncSemaphore.acquire();
            release();
          }
        },
      },
    ),
    futuresCase(
      'semaphore, free: await and release',
      async () => {
        for (let i = 0; i < OPERATIONS; i++) {
          await semaphore.acquire();
          semaphore.release();
        }
      },
      {
        'no lock, await of a resolved promise': awaitResolved,
        'async-mutex': async () => {
          for (let i = 0; i < OPERATIONS; i++) {
            const [, release] = await asyncSemaphore.acquire();
            release();
          }
        },
      },
    ),
    futuresCase('run in a free semaphore', () => times(() => semaphore.run(nothing)), {
      'async-mutex': () => times(() => asyncSemaphore.runExclusive(nothing)),
      'p-limit': () => times(() => limit(nothing)),
      'p-queue': () => times(() => queue.add(async () => nothing())),
    }),
    futuresCase(
      `run in a semaphore, half of ${OPERATIONS} wait`,
      async () => {
        const all: Promise<void>[] = [];
        for (let i = 0; i < OPERATIONS; i++) all.push(semaphore.run(suspended));
        await Promise.all(all);
      },
      {
        'async-mutex': async () => {
          const all: Promise<void>[] = [];
          for (let i = 0; i < OPERATIONS; i++) all.push(asyncSemaphore.runExclusive(suspended));
          await Promise.all(all);
        },
        'p-limit': async () => {
          const all: Promise<void>[] = [];
          for (let i = 0; i < OPERATIONS; i++) all.push(limit(suspended));
          await Promise.all(all);
        },
        'p-queue': async () => {
          const all: Promise<void>[] = [];
          for (let i = 0; i < OPERATIONS; i++) all.push(queue.add(suspended));
          await Promise.all(all);
        },
      },
    ),
    futuresCase(
      'mutex, free: await and unlock',
      async () => {
        for (let i = 0; i < OPERATIONS; i++) {
          await mutex.lock();
          mutex.unlock();
        }
      },
      {
        'no lock, await of a resolved promise': awaitResolved,
        'async-mutex': async () => {
          for (let i = 0; i < OPERATIONS; i++) {
            const release = await asyncMutex.acquire();
            release();
          }
        },
      },
    ),
  ];
}
