import { setImmediate as immediate } from 'node:timers/promises';
import {
  attach,
  ConditionVariable,
  Gate,
  Mutex,
  maxConcurrentForEach,
  parallelForEach,
  Queue,
  Semaphore,
  SharedPromise,
  Timer,
  threadTimers,
  whenAllSucceed,
  yieldNow,
} from '@sunstar/runtime';
import { Mutex as AsyncMutex, Semaphore as AsyncSemaphore } from 'async-mutex';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import type { Benchmark, BenchmarkCase, Peer, PreparedBenchmark } from './harness/benchmark.js';
import { nanosecondsPerOperation, nanosecondsPerOperationAsync } from './harness/timing.js';

const OPERATIONS = 1_000;
const ITEMS = 100;
const CONCURRENCY = 10;
/** Units of the semaphores that are contended: half of those who ask for one have to wait. */
const CONTENDED = OPERATIONS / 2;

type Body = () => void | Promise<void>;

/** One row for each peer. Bodies do `operations` operations; all bodies of a case are synchronous, or none. */
function futuresCase(
  name: string,
  ours: Body,
  theirs: Readonly<Record<string, Body>>,
  operations = OPERATIONS,
): BenchmarkCase {
  const measure = (body: Body) => (): Promise<number> => {
    // What is finished when it returns is not charged for awaiting it.
    if (body() === undefined) {
      return Promise.resolve(nanosecondsPerOperation(operations, () => void body()));
    }
    return nanosecondsPerOperationAsync(operations, body as () => Promise<void>);
  };
  const peers: Peer[] = Object.entries(theirs).map(([peer, body]) => ({ peer, measure: measure(body) }));
  return { metrics: [{ case: name, unit: 'ns/op', higherIsBetter: false }], ours: measure(ours), peers };
}

async function times(work: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < OPERATIONS; i++) await work();
}

const RESOLVED = Promise.resolve();
async function awaitResolved(): Promise<void> {
  for (let i = 0; i < OPERATIONS; i++) await RESOLVED;
}

const nothing = (): void => undefined;
/** Has to be waited for: suspends once. */
const suspended = async (): Promise<void> => {
  await RESOLVED;
};

function promiseCases(): BenchmarkCase[] {
  const shared = new SharedPromise<void>();
  shared.resolve();
  const condition = new ConditionVariable();
  const mutex = new Mutex();
  const asyncMutex = new AsyncMutex();
  const fail = async (): Promise<void> => {
    await RESOLVED;
    throw new Error('why');
  };
  let resume: () => void = nothing;
  const capture = (resolve: () => void): void => {
    resume = resolve;
  };
  const together = (wait: () => Promise<unknown>) => async (): Promise<void> => {
    for (let i = 0; i < OPERATIONS; i += ITEMS) await Promise.all(Array.from({ length: ITEMS }, wait));
  };
  return [
    futuresCase('await of a shared result that is there', () => times(() => shared.wait()), {
      'resolved promise': () => times(() => RESOLVED),
    }),
    futuresCase(
      'a wait that another task ends',
      async () => {
        for (let i = 0; i < OPERATIONS; i++) {
          const wait = condition.wait();
          condition.signal();
          await wait;
        }
      },
      {
        'new Promise': async () => {
          for (let i = 0; i < OPERATIONS; i++) {
            const wait = new Promise<void>(capture);
            resume();
            await wait;
          }
        },
      },
    ),
    futuresCase('yield', () => times(yieldNow), {
      'setImmediate of node:timers/promises': () => times(() => immediate()),
    }),
    futuresCase(`yield, ${ITEMS} at the same time`, together(yieldNow), {
      'setImmediate of node:timers/promises': together(() => immediate()),
    }),
    futuresCase('throw and catch through a mutex', () => times(() => mutex.run(fail).catch(nothing)), {
      'async function alone': () => times(() => fail().catch(nothing)),
      'async-mutex': () => times(() => asyncMutex.runExclusive(fail).catch(nothing)),
    }),
  ];
}

function semaphoreCases(): BenchmarkCase[] {
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

function gateAndQueueCases(): BenchmarkCase[] {
  const gate = new Gate();
  const running = new Set<object>();
  const token = {};
  const queue = new Queue<number>();
  const array: number[] = [];
  return [
    futuresCase(
      'gate enter and leave',
      () => {
        for (let i = 0; i < OPERATIONS; i++) {
          gate.enter();
          gate.leave();
        }
      },
      {
        'Set of what runs': () => {
          for (let i = 0; i < OPERATIONS; i++) {
            running.add(token);
            running.delete(token);
          }
        },
      },
    ),
    futuresCase(
      'queue push and pop, 8 inside',
      () => {
        while (queue.size < 8) queue.tryPush(0);
        for (let i = 0; i < OPERATIONS; i++) {
          queue.tryPush(i);
          queue.tryPop();
        }
      },
      {
        'Array push and shift': () => {
          while (array.length < 8) array.push(0);
          for (let i = 0; i < OPERATIONS; i++) {
            array.push(i);
            array.shift();
          }
        },
      },
    ),
  ];
}

function timerCases(): BenchmarkCase[] {
  const timer = new Timer(nothing);
  const others = Array.from({ length: 1_000 }, () => new Timer(nothing));
  const nodeOthers: NodeJS.Timeout[] = [];
  const pair = (name: string): BenchmarkCase =>
    futuresCase(
      name,
      () => {
        for (let i = 0; i < OPERATIONS; i++) {
          threadTimers.arm(timer, 30_000);
          threadTimers.cancel(timer);
        }
      },
      {
        'setTimeout and clearTimeout': () => {
          for (let i = 0; i < OPERATIONS; i++) clearTimeout(setTimeout(nothing, 30_000));
        },
      },
    );
  return [
    pair('timer arm and cancel'),
    {
      ...pair('timer arm and cancel, 1,000 others armed'),
      setup() {
        for (const [i, other] of others.entries()) {
          threadTimers.arm(other, 60_000 + i);
          nodeOthers.push(setTimeout(nothing, 60_000 + i));
        }
        return Promise.resolve();
      },
      teardown() {
        for (const other of others) threadTimers.cancel(other);
        for (const other of nodeOthers) clearTimeout(other);
        return Promise.resolve();
      },
    },
  ];
}

function loopCases(): BenchmarkCase[] {
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

const benchmark: Benchmark = {
  description:
    'waits, yields, gates, semaphores, queues, timers and loops, against promises, p-limit, async-mutex and p-queue',
  prepare(): Promise<PreparedBenchmark> {
    // With a reactor, as on a shard: turns are its ticks.
    attach();
    return Promise.resolve({
      cases: [
        ...promiseCases(),
        ...semaphoreCases(),
        ...gateAndQueueCases(),
        ...timerCases(),
        ...loopCases(),
      ],
    });
  },
};

export default benchmark;
