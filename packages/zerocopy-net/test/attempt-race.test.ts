import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Attempt, AttemptRace, interleave } from '../src/connect/attempt-race.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** An attempt that answers after some time: with its address, or with a failure. */
class FakeAttempt implements Attempt<string> {
  readonly result: Promise<string>;
  isCancelled = false;
  #end: () => void = () => {};
  constructor(address: string, answerMs: number, succeeds: boolean, ignoresCancel: boolean) {
    this.result = new Promise((resolve, reject) => {
      this.#end = (): void => reject(new Error(`${address} cancelled`));
      setTimeout(() => {
        if (succeeds) resolve(address);
        else reject(new Error(`${address} failed`));
      }, answerMs);
    });
    if (ignoresCancel) this.#end = (): void => {};
  }
  cancel(): void {
    this.isCancelled = true;
    this.#end();
  }
}

interface Plan {
  readonly answerMs: number;
  readonly succeeds: boolean;
  readonly ignoresCancel: boolean;
}

/** When each attempt starts and who wins, computed step by step. */
function expected(plans: readonly Plan[], delayMs: number): { winner: number; atMs: number } | null {
  const ends: { index: number; atMs: number; succeeds: boolean }[] = [];
  let started = 0;
  let nextMs = 0;
  while (started < plans.length || ends.length > 0) {
    const end = [...ends].sort((a, b) => a.atMs - b.atMs || a.index - b.index)[0];
    if (started < plans.length && (end === undefined || nextMs < end.atMs)) {
      const { answerMs, succeeds } = plans[started];
      ends.push({ index: started, atMs: nextMs + answerMs, succeeds });
      started++;
      nextMs += delayMs;
      continue;
    }
    if (end.succeeds) return { winner: end.index, atMs: end.atMs };
    ends.splice(ends.indexOf(end), 1);
    if (started < plans.length) nextMs = end.atMs;
  }
  return null;
}

describe('a race of attempts', () => {
  test('goes to the first that succeeds, the next starting after a failure or the delay; nothing is left over', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            // Odd and even, so that an answer and a timer never coincide.
            answerMs: fc.nat(300).map((n) => 2 * n + 1),
            succeeds: fc.boolean(),
            ignoresCancel: fc.boolean(),
          }),
          { minLength: 1, maxLength: 1 },
        ),
        async (plans) => {
          await check(plans);
        },
      ),
      { numRuns: 50 },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat(400), { minLength: 2, maxLength: 5 }).chain((answers) =>
          fc.tuple(
            ...answers.map((answer) =>
              fc.record({
                answerMs: fc.constant(answer * 8 + 1),
                succeeds: fc.boolean(),
                ignoresCancel: fc.boolean(),
              }),
            ),
          ),
        ),
        async (plans) => check(plans as Plan[]),
      ),
      { numRuns: 150 },
    );
  });

  async function check(plans: readonly Plan[]): Promise<void> {
    const delayMs = 250;
    const attempts: FakeAttempt[] = [];
    const discarded: string[] = [];
    const race = new AttemptRace<number, string>(
      plans.map((_, index) => index),
      (index) => {
        const { answerMs, succeeds, ignoresCancel } = plans[index];
        const attempt = new FakeAttempt(String(index), answerMs, succeeds, ignoresCancel);
        attempts.push(attempt);
        return attempt;
      },
      delayMs,
      (late) => discarded.push(late),
    );
    const outcome = race.run().catch((error: Error) => error.message);
    await vi.advanceTimersByTimeAsync(20_000);
    const winner = expected(plans, delayMs);
    if (winner === null) expect(await outcome).toMatch(/failed/);
    else {
      expect(await outcome).toBe(String(winner.winner));
      for (const [index, attempt] of attempts.entries()) {
        if (index !== winner.winner) continue;
        expect(attempt.isCancelled).toBe(false);
      }
    }
    // Whoever succeeded and did not win was discarded, none twice.
    const results = await Promise.allSettled(attempts.map((attempt) => attempt.result));
    const succeeded = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(discarded.sort()).toEqual(
      succeeded.filter((address) => address !== String(winner?.winner)).sort(),
    );
    expect(vi.getTimerCount()).toBe(0);
  }

  test('can be aborted: attempts are cancelled, and none starts', async () => {
    const attempts: FakeAttempt[] = [];
    const race = new AttemptRace<number, string>(
      [1, 2, 3],
      (address) => {
        const attempt = new FakeAttempt(String(address), 10_000, true, false);
        attempts.push(attempt);
        return attempt;
      },
      250,
      () => {},
    );
    const outcome = race.run().catch((error: Error) => error.message);
    await vi.advanceTimersByTimeAsync(300);
    race.abort(new Error('enough'));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await outcome).toBe('enough');
    expect(attempts.map((attempt) => attempt.isCancelled)).toEqual([true, true]);
  });

  test('an attempt that cannot even start counts as failed', async () => {
    const race = new AttemptRace<string, string>(
      ['bad', 'good'],
      (address) => {
        if (address === 'bad') throw new Error('no such family');
        return new FakeAttempt(address, 1, true, false);
      },
      250,
      () => {},
    );
    const outcome = race.run();
    await vi.advanceTimersByTimeAsync(10);
    expect(await outcome).toBe('good');
  });
});

test('addresses take turns by family, beginning with the first', () => {
  expect(interleave(['::1', '::2', '1.1.1.1', '::3', '2.2.2.2'])).toEqual([
    '::1',
    '1.1.1.1',
    '::2',
    '2.2.2.2',
    '::3',
  ]);
  expect(interleave(['127.0.0.1'])).toEqual(['127.0.0.1']);
});
