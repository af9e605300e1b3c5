import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Mutex } from '../../src/sync/mutex.ts';
import { RwLock } from '../../src/sync/rw-lock.ts';
import { Semaphore } from '../../src/sync/semaphore.ts';
import { TimerWheel } from '../../src/sync/timer-wheel.ts';
import type { SyncOptions, WaitOptions } from '../../src/sync/wait-list.ts';
import { everySequence, flush, type ModelWait, Trace, takeExpired } from './steps.ts';

/** What is common to semaphores, mutexes and read-write locks. */
interface Lock {
  tryAcquire(units: number): boolean;
  acquire(units: number, options: WaitOptions): Promise<void>;
  release(units: number): void;
  readonly waiters: number;
  invariants(): void;
}

interface Kind {
  readonly name: string;
  readonly capacity: number;
  /** Units that one asks for. */
  readonly sizes: readonly number[];
  make(options: SyncOptions): Lock;
}

/** A fair read-write lock is a semaphore of which a writer takes all units. */
const ALL = 1_000;
const KINDS: readonly Kind[] = [
  { name: 'Semaphore', capacity: 3, sizes: [1, 2, 3], make: (options) => new Semaphore(3, options) },
  {
    name: 'Mutex',
    capacity: 1,
    sizes: [1],
    make(options) {
      const mutex = new Mutex(options);
      return {
        tryAcquire: () => mutex.tryLock(),
        acquire: (_, wait) => mutex.lock(wait),
        release: () => mutex.unlock(),
        get waiters() {
          return mutex.waiters;
        },
        invariants: () => mutex.invariants(),
      };
    },
  },
  {
    name: 'RwLock',
    capacity: ALL,
    sizes: [1, ALL],
    make(options) {
      const lock = new RwLock(options);
      return {
        tryAcquire: (units) => (units === ALL ? lock.tryLockWrite() : lock.tryLockRead()),
        acquire: (units, wait) => (units === ALL ? lock.lockWrite(wait) : lock.lockRead(wait)),
        release: (units) => (units === ALL ? lock.unlockWrite() : lock.unlockRead()),
        get waiters() {
          return lock.waiters;
        },
        invariants: () => lock.invariants(),
      };
    },
  },
];

type Step =
  | { readonly op: 'acquire'; readonly units: number; readonly timeoutMs?: number }
  | { readonly op: 'try'; readonly units: number }
  | { readonly op: 'release'; readonly nth: number }
  | { readonly op: 'abort'; readonly nth: number }
  | { readonly op: 'advance'; readonly ms: number };

interface Wait extends ModelWait {
  readonly units: number;
}

const MAX_WAITERS = 4;

/** Takes the steps with a real lock and with a list of waits, and compares after each. */
async function compare(kind: Kind, steps: readonly Step[]): Promise<void> {
  const timers = new TimerWheel();
  const lock = kind.make({ timers, maxWaiters: MAX_WAITERS });
  const trace = new Trace();
  const controllers = new Map<number, AbortController>();
  const expected: string[] = [];
  const held: number[] = [];
  const waits: Wait[] = [];
  let free = kind.capacity;
  let nowMs = 0;
  const take = (units: number): void => {
    free -= units;
    held.push(units);
  };
  const serve = (): void => {
    while (waits.length > 0 && waits[0].units <= free) {
      const { id, units } = waits.shift() as Wait;
      take(units);
      expected.push(`+${id}`);
    }
  };

  for (const [id, step] of steps.entries()) {
    switch (step.op) {
      case 'acquire': {
        const controller = new AbortController();
        const { units, timeoutMs } = step;
        const { signal } = controller;
        trace.observe(id, lock.acquire(units, timeoutMs === undefined ? { signal } : { signal, timeoutMs }));
        if (waits.length === 0 && units <= free) {
          take(units);
          expected.push(`+${id}`);
        } else if (waits.length === MAX_WAITERS) {
          expected.push(`-${id} TOO_MANY_WAITERS`);
        } else {
          waits.push({ id, units, deadlineMs: nowMs + (timeoutMs ?? Number.POSITIVE_INFINITY) });
          controllers.set(id, controller);
        }
        break;
      }
      case 'try': {
        const isFree = waits.length === 0 && step.units <= free;
        expect(lock.tryAcquire(step.units)).toBe(isFree);
        if (isFree) take(step.units);
        break;
      }
      case 'release': {
        if (held.length === 0) break;
        const [units] = held.splice(step.nth % held.length, 1);
        free += units;
        serve();
        lock.release(units);
        break;
      }
      case 'abort': {
        if (waits.length === 0) break;
        const [{ id }] = waits.splice(step.nth % waits.length, 1);
        expected.push(`-${id} ABORTED`);
        serve();
        controllers.get(id)?.abort();
        break;
      }
      case 'advance':
        nowMs += step.ms;
        takeExpired([waits], nowMs, ({ id }) => {
          expected.push(`-${id} TIMEOUT`);
          serve();
        });
        timers.advance(nowMs);
        break;
    }
    lock.invariants();
    timers.invariants();
    expect(lock.waiters).toBe(waits.length);
    if (lock instanceof Semaphore) expect(lock.available).toBe(free);
  }
  // Nobody is lost: whoever holds something gives it back, until all have had their turn.
  while (held.length > 0) {
    const units = held.shift() as number;
    free += units;
    serve();
    lock.release(units);
  }
  expect(lock.waiters).toBe(0);
  expect(timers.size).toBe(0);
  expect(lock.tryAcquire(kind.capacity)).toBe(true);
  await flush();
  expect(trace.lines).toEqual(expected);
}

describe.each(KINDS)('$name', (kind) => {
  const size = fc.constantFrom(...kind.sizes);
  const nth = fc.nat(9);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ op: fc.constant('acquire'), units: size } as const) },
    {
      weight: 2,
      arbitrary: fc.record({
        op: fc.constant('acquire'),
        units: size,
        timeoutMs: fc.nat(5).map((n) => n + 1),
      } as const),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('try'), units: size } as const) },
    { weight: 4, arbitrary: fc.record({ op: fc.constant('release'), nth } as const) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('abort'), nth } as const) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('advance'), ms: fc.nat(4) } as const) },
  );

  test('does what the model does, in every short sequence of steps', async () => {
    const steps: Step[] = [
      ...kind.sizes.slice(-2).map((units): Step => ({ op: 'acquire', units })),
      { op: 'acquire', units: kind.sizes[0], timeoutMs: 2 },
      { op: 'release', nth: 0 },
      { op: 'abort', nth: 0 },
      { op: 'advance', ms: 2 },
    ];
    for (const sequence of everySequence(steps, 5)) await compare(kind, sequence);
  });

  test('does what the model does, in long sequences', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), (steps) => compare(kind, steps)),
      { numRuns: 500 },
    );
  });
});
