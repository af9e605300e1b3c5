import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exhaust, fail, ordinary, paced, Run, truncate, write } from './appender-run.js';

describe('SegmentAppender on a file that completes in any order', () => {
  it('keeps every promise: alignment, no overlap, stable memory, flushed bytes after a power cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(...ordinary), { maxLength: 120, size: 'max' }), async (actions) => {
        const run = new Run();
        await run.open();
        for (const action of actions) await run.step(action);
        await run.close();
      }),
      { numRuns: 120 },
    );
  });

  it('does so when it is truncated in between', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(...ordinary, truncate), { maxLength: 80, size: 'max' }),
        async (actions) => {
          const run = new Run();
          await run.open();
          for (const action of actions) await run.step(action);
          await run.drainUntil(Promise.all(run.flushes.map((flush) => flush.promise)));
          await run.close();
        },
      ),
      { numRuns: 100 },
    );
  });

  it('does so when it flushes by itself, and when flushes wait for others', async () => {
    await fc.assert(
      fc.asyncProperty(
        paced,
        fc.array(fc.oneof(...ordinary, write), { maxLength: 100, size: 'max' }),
        async (options, actions) => {
          const run = new Run();
          await run.open(options);
          for (const action of actions) await run.step(action);
          await run.close();
        },
      ),
      { numRuns: 120 },
    );
  });

  it('does so in a file that was used before, whatever was in it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4000 }),
        fc.array(fc.oneof(...ordinary, truncate), { maxLength: 80, size: 'max' }),
        async (oldBytes, actions) => {
          const run = new Run();
          await run.open({}, oldBytes);
          for (const action of actions) await run.step(action);
          await run.drainUntil(Promise.all(run.flushes.map((flush) => flush.promise)));
          await run.close();
        },
      ),
      { numRuns: 100 },
    );
  });

  it.each([
    ['a new file', 0],
    ['a file that was used before', 4000],
  ])('has what was flushed at every step at which the power could fail, in %s', async (_name, oldBytes) => {
    await fc.assert(
      fc.asyncProperty(
        paced,
        fc.array(fc.oneof(...ordinary, truncate), { maxLength: 60, size: 'max' }),
        async (options, actions) => {
          const run = new Run();
          run.cutsEveryStep = true;
          await run.open(options, oldBytes);
          for (const action of actions) await run.step(action);
          await run.drainUntil(Promise.all(run.flushes.map((flush) => flush.promise)));
          await run.close();
        },
      ),
      { numRuns: 40 },
    );
  });

  it('takes all of an append or nothing when memory runs out', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(...ordinary, exhaust), { maxLength: 100, size: 'max' }),
        async (actions) => {
          const run = new Run();
          await run.open();
          for (const action of actions) await run.step(action);
          run.target.memory.allowed = Number.POSITIVE_INFINITY;
          await run.close();
        },
      ),
      { numRuns: 100 },
    );
  });

  it('tells every waiter about errors, never loses flushed bytes, and writes again after retry()', async () => {
    await fc.assert(
      fc.asyncProperty(
        paced,
        fc.array(fc.oneof(...ordinary, fail), { maxLength: 120, size: 'max' }),
        async (options, actions) => {
          const run = new Run();
          await run.open(options);
          for (const action of actions) {
            await run.step(action);
            const { failure } = run.appender;
            if (failure === null) continue;
            // Whoever waited knows by now.
            expect(run.flushes.every((flush) => flush.isSettled)).toBe(true);
            await expect(run.appender.flush()).rejects.toBe(failure);
            expect(() => run.appender.append(Buffer.from('x'))).toThrow(failure);
            if (failure.code === 'SUNSTAR_APPENDER_POISONED') {
              expect(() => run.appender.retry()).toThrow(failure);
            } else if (run.random() < 0.7) {
              run.appender.retry();
              expect(run.appender.failure).toBeNull();
            }
            run.check();
          }
          await run.close();
        },
      ),
      { numRuns: 120 },
    );
  });
});
