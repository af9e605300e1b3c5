import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { doUntil, repeat } from '../../src/sync/loops.ts';
import { mapReduce, maxConcurrentForEach, parallelForEach, whenAllSucceed } from '../../src/sync/parallel.ts';
import { READY } from '../../src/sync/ready.ts';
import { type RetryOptions, retry } from '../../src/sync/retry.ts';
import { sleep } from '../../src/sync/sleep.ts';
import { TimerWheel } from '../../src/sync/timer-wheel.ts';
import { withTimeout } from '../../src/sync/with-timeout.ts';
import { codeOf, flush, Trace } from './steps.ts';

/** Whether the quota is never used up, so that what is started together does not depend on the clock. */
const quota = vi.hoisted(() => ({ isEndless: false }));
vi.mock('../../src/scheduling/preempt.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/scheduling/preempt.ts')>();
  return { ...original, mustPreempt: () => !quota.isEndless && original.mustPreempt() };
});

describe('parallelForEach', () => {
  test('needs no promise when nothing has to be waited for', () => {
    const seen: unknown[] = [];
    expect(parallelForEach(new Set(['a', 'b']), (item, index) => seen.push([item, index]))).toBe(READY);
    expect(seen).toEqual([
      ['a', 0],
      ['b', 1],
    ]);
  });

  test('makes room for others when it takes long to start, and starts all the same', async () => {
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const started: number[] = [];
    const all = parallelForEach(new Array(2_000).fill(0).keys(), (item) => {
      started.push(item);
      for (const endMs = performance.now() + 0.005; performance.now() < endMs; );
      return item % 2 === 0 ? undefined : flush();
    });
    expect(started.length).toBeLessThan(2_000);
    await all;
    isOver = true;
    expect(started).toEqual(Array.from({ length: 2_000 }, (_, index) => index));
    expect(turns).toBeGreaterThan(1);
  });

  test('starts all at once, waits for all, and gives the first error', async () => {
    let done = 0;
    const trace = new Trace();
    const errors = [undefined, 'late', undefined, 'now', undefined];
    const finished = parallelForEach(errors, (error) => {
      if (error === 'now') throw new Error(error);
      return sleepTurns(error === undefined ? 3 : 1).then(() => {
        done++;
        if (error !== undefined) throw new Error(error);
      });
    });
    trace.observe('all', finished);
    await flush();
    expect(trace.lines).toEqual([]);
    await expect(finished).rejects.toThrow('now');
    expect(done).toBe(4);
  });
});

async function sleepTurns(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await flush();
}

describe('maxConcurrentForEach and mapReduce', () => {
  test('keep to the limit, visit all items once, and fold in order', async () => {
    quota.isEndless = true;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { maxLength: 30 }),
        fc.integer({ min: 1, max: 8 }),
        fc.scheduler(),
        fc.boolean(),
        async (kinds, maxConcurrent, scheduler, isAsync) => {
          let running = 0;
          let most = 0;
          const map = (kind: number, index: number): number | Promise<number> => {
            if (kind === 0) return index;
            most = Math.max(most, ++running);
            return scheduler.schedule(Promise.resolve(index)).then((value) => {
              running--;
              return value;
            });
          };
          async function* items(): AsyncGenerator<number> {
            yield* kinds;
          }
          const result = mapReduce(
            isAsync ? items() : kinds,
            map,
            [] as number[],
            (list, index) => [...list, index],
            { maxConcurrent },
          );
          await scheduler.waitFor(result);
          expect(await result).toEqual(kinds.map((_, index) => index));
          expect(most).toBeLessThanOrEqual(maxConcurrent);
          const waits = kinds.filter((kind) => kind > 0).length;
          // As concurrent as is allowed: all of them were ready to start.
          if (!isAsync) expect(most).toBe(Math.min(maxConcurrent, waits));
          expect(running).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
    quota.isEndless = false;
  });

  test('start nothing after an error or an abort, and wait for what runs', async () => {
    const started: number[] = [];
    let done = 0;
    const work = (item: number): Promise<void> => {
      started.push(item);
      return sleepTurns(item === 0 ? 1 : 4).then(() => {
        done++;
        if (item === 0) throw new Error('first');
      });
    };
    await expect(maxConcurrentForEach([0, 1, 2, 3, 4], 2, work)).rejects.toThrow('first');
    expect([started, done]).toEqual([[0, 1], 2]);

    const controller = new AbortController();
    const looping = maxConcurrentForEach([5, 6, 7, 8], 2, work, { signal: controller.signal });
    controller.abort(new Error('why'));
    await expect(looping).rejects.toMatchObject({ code: 'SUNSTAR_ABORTED', cause: new Error('why') });
    expect([started, done]).toEqual([[0, 1, 5, 6], 4]);
    await expect(maxConcurrentForEach([], 0, work)).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
  });

  test('wait for what runs when the items fail', async () => {
    let isDone = false;
    function* items(): Generator<number> {
      yield 1;
      throw new Error('items');
    }
    const work = (): Promise<void> =>
      sleepTurns(2).then(() => {
        isDone = true;
      });
    await expect(maxConcurrentForEach(items(), 4, work)).rejects.toThrow('items');
    expect(isDone).toBe(true);
    isDone = false;
    await expect(parallelForEach(items(), work)).rejects.toThrow('items');
    expect(isDone).toBe(true);
  });
});

describe('repeat and doUntil', () => {
  test('run until they are told to stop', async () => {
    let rounds = 0;
    await repeat(() => (++rounds === 3 ? 'stop' : 'continue'));
    await repeat(async () => (++rounds === 6 ? 'stop' : 'continue'));
    await doUntil(
      () => rounds === 9,
      () => {
        rounds++;
      },
    );
    await doUntil(
      () => rounds === 12,
      async () => {
        rounds++;
      },
    );
    expect(rounds).toBe(12);
    await expect(repeat(() => Promise.reject(new Error('round')))).rejects.toThrow('round');
  });

  test('let the event loop have its turn, also when nothing has to be waited for', async () => {
    for (const answer of ['continue', Promise.resolve('continue' as const)] as const) {
      let isTurnOver = false;
      setImmediate(() => {
        isTurnOver = true;
      });
      await repeat(() => (isTurnOver ? 'stop' : answer));
    }
  });
});

describe('whenAllSucceed', () => {
  test('gives all values, or the first error in the order of the arguments when all are done', async () => {
    const values: [number, string] = await whenAllSucceed(1, Promise.resolve('two'));
    expect(values).toEqual([1, 'two']);
    let isDone = false;
    const slow = sleepTurns(2).then(() => {
      isDone = true;
      throw new Error('slow');
    });
    await expect(whenAllSucceed(slow, Promise.reject(new Error('fast')))).rejects.toThrow('slow');
    expect(isDone).toBe(true);
  });
});

describe('withTimeout', () => {
  test('gives the result, the error, or the timeout, whichever is first', async () => {
    const timers = new TimerWheel();
    const trace = new Trace();
    let reason: unknown;
    trace.observe('value', withTimeout(5, Promise.resolve(1), { timers }));
    trace.observe(
      'error',
      withTimeout(5, () => Promise.reject(new Error('mine')), { timers }),
    );
    trace.observe(
      'throw',
      withTimeout(5, () => JSON.parse('?') as number, { timers }),
    );
    const never = withTimeout(
      5,
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            reject(new Error('too late to matter'));
          });
        }),
      { timers, name: 'The lookup' },
    );
    never.catch(() => undefined);
    await flush();
    expect(timers.size).toBe(1);
    expect(trace.lines.map((line) => line.slice(0, 12))).toEqual(
      expect.arrayContaining(['+value 1', '-error Error', '-throw Synta']),
    );
    timers.advance(5);
    await expect(never).rejects.toMatchObject({
      code: 'SUNSTAR_TIMEOUT',
      message: expect.stringMatching(/^The lookup .* 5 ms/),
    });
    expect(codeOf(reason)).toBe('TIMEOUT');
  });
});

describe('sleep', () => {
  test('ends with its time or its signal', async () => {
    const timers = new TimerWheel();
    const trace = new Trace();
    const controller = new AbortController();
    const { signal } = controller;
    const removed = vi.spyOn(signal, 'removeEventListener');
    trace.observe('short', sleep(1, { timers, signal }));
    trace.observe('long', sleep(2, { timers, signal }));
    timers.advance(1);
    await flush();
    controller.abort();
    trace.observe('late', sleep(1, { timers, signal }));
    await flush();
    expect(trace.lines).toEqual(['+short', '-long ABORTED', '-late ABORTED']);
    expect(timers.size).toBe(0);
    expect(removed).toHaveBeenCalledTimes(1);
  });
});

describe('retry', () => {
  /** Runs it to its end, and notes how long it waited each time. */
  async function run(
    failures: number,
    options: RetryOptions,
  ): Promise<{ outcome: string; waitsMs: number[]; attempts: number }> {
    const timers = new TimerWheel();
    const waitsMs: number[] = [];
    let attempts = 0;
    let outcome: string | undefined;
    retry(
      ({ attempt }) => {
        expect(attempt).toBe(++attempts);
        if (attempts <= failures) throw new Error(`failure ${attempts}`);
        return 'value';
      },
      { timers, random: () => 0.5, ...options },
    ).then(
      (value) => {
        outcome = value;
      },
      (error: unknown) => {
        outcome = codeOf(error);
      },
    );
    for (;;) {
      await flush();
      if (outcome !== undefined) return { outcome, waitsMs, attempts };
      const beforeMs = timers.nowMs;
      while (timers.size > 0) timers.advance(timers.nextMs);
      waitsMs.push(timers.nowMs - beforeMs);
    }
  }

  test('waits longer each time, up to the limit, with each kind of jitter', async () => {
    const options = { initialDelayMs: 100, maxDelayMs: 500, maxAttempts: 6 };
    const none = await run(5, { ...options, jitter: 'none' });
    expect(none).toEqual({ outcome: 'value', waitsMs: [100, 200, 400, 500, 500], attempts: 6 });
    expect((await run(5, options)).waitsMs).toEqual([50, 100, 200, 250, 250]);
    expect((await run(5, { ...options, jitter: 'equal' })).waitsMs).toEqual([75, 150, 300, 375, 375]);
    expect((await run(2, { ...options, factor: 1, jitter: 'none' })).waitsMs).toEqual([100, 100]);
  });

  test('gives up after the last attempt, at errors that are not worth it, and when aborted', async () => {
    expect(await run(9, { maxAttempts: 3 })).toMatchObject({ outcome: 'RETRIES_EXHAUSTED', attempts: 3 });
    const isRetryable = (error: unknown): boolean => (error as Error).message === 'failure 1';
    expect(await run(9, { isRetryable })).toMatchObject({ outcome: 'Error: failure 2', attempts: 2 });
    const controller = new AbortController();
    const giveUp = (): boolean => {
      controller.abort();
      return true;
    };
    const { outcome, attempts } = await run(9, { signal: controller.signal, isRetryable: giveUp });
    expect([outcome, attempts]).toEqual(['ABORTED', 1]);
    expect((await run(0, { maxAttempts: 0 })).outcome).toBe('INVALID_OPTION');
  });
});
