import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Queue } from '../../src/sync/queue.ts';
import { TimerWheel } from '../../src/sync/timer-wheel.ts';
import type { WaitOptions } from '../../src/sync/wait-list.ts';
import { everySequence, flush, type ModelWait, Trace, takeExpired } from './steps.ts';

type Step =
  | { readonly op: 'push' | 'pop'; readonly timeoutMs?: number }
  | { readonly op: 'tryPush' | 'tryPop' | 'close' | 'abortAll' }
  | { readonly op: 'abort'; readonly nth: number }
  | { readonly op: 'advance'; readonly ms: number };

const CAPACITY = 2;
const MAX_WAITERS = 3;

async function compare(steps: readonly Step[]): Promise<void> {
  const timers = new TimerWheel();
  const queue = new Queue<number>({ capacity: CAPACITY, maxWaiters: MAX_WAITERS, timers });
  const trace = new Trace();
  const controllers = new Map<number, AbortController>();
  const expected: string[] = [];
  const items: number[] = [];
  const pushers: ModelWait[] = [];
  const poppers: ModelWait[] = [];
  let end: string | undefined;
  let nowMs = 0;

  const wait = (list: ModelWait[], id: number, timeoutMs: number | undefined): void => {
    if (list.length === MAX_WAITERS) expected.push(`-${id} TOO_MANY_WAITERS`);
    else list.push({ id, deadlineMs: nowMs + (timeoutMs ?? Number.POSITIVE_INFINITY) });
  };
  // An item is the id of the step that pushed it.
  const modelPush = (id: number): boolean => {
    if (end !== undefined || items.length === CAPACITY) return false;
    const popper = poppers.shift();
    if (popper === undefined) items.push(id);
    else expected.push(`+${popper.id} ${id}`);
    return true;
  };
  const modelPop = (): number | undefined => {
    const item = items.shift();
    const pusher = item === undefined ? undefined : pushers.shift();
    if (pusher !== undefined) {
      items.push(pusher.id);
      expected.push(`+${pusher.id}`);
    }
    return item;
  };
  const endAll = (): void => {
    for (const { id } of [...pushers.splice(0), ...poppers.splice(0)]) expected.push(`-${id} ${end}`);
  };

  for (const [id, step] of steps.entries()) {
    switch (step.op) {
      case 'push':
      case 'pop': {
        const controller = new AbortController();
        controllers.set(id, controller);
        const { timeoutMs } = step;
        const options: WaitOptions = {
          signal: controller.signal,
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
        };
        if (step.op === 'push') {
          if (modelPush(id)) expected.push(`+${id}`);
          else if (end === undefined) wait(pushers, id, timeoutMs);
          else expected.push(`-${id} ${end}`);
          trace.observe(id, queue.push(id, options));
        } else {
          const item = modelPop();
          if (item !== undefined) expected.push(`+${id} ${item}`);
          else if (end === undefined) wait(poppers, id, timeoutMs);
          else expected.push(`-${id} ${end}`);
          trace.observe(id, queue.pop(options));
        }
        break;
      }
      case 'tryPush':
        expect(queue.tryPush(id)).toBe(modelPush(id));
        break;
      case 'tryPop':
        expect(queue.tryPop()).toBe(modelPop());
        break;
      case 'close':
        end ??= 'QUEUE_CLOSED';
        endAll();
        queue.close();
        break;
      case 'abortAll':
        end = 'QUEUE_ABORTED';
        items.length = 0;
        endAll();
        queue.abort();
        break;
      case 'abort': {
        const all = [...pushers, ...poppers];
        if (all.length === 0) break;
        const { id } = all[step.nth % all.length];
        for (const list of [pushers, poppers]) {
          const at = list.findIndex((wait) => wait.id === id);
          if (at >= 0) list.splice(at, 1);
        }
        expected.push(`-${id} ABORTED`);
        controllers.get(id)?.abort();
        break;
      }
      case 'advance':
        nowMs += step.ms;
        takeExpired([pushers, poppers], nowMs, ({ id }) => expected.push(`-${id} TIMEOUT`));
        timers.advance(nowMs);
        break;
    }
    queue.invariants();
    expect([queue.size, queue.waitingPushes, queue.waitingPops, timers.size]).toEqual([
      items.length,
      pushers.length,
      poppers.length,
      [...pushers, ...poppers].filter(({ deadlineMs }) => deadlineMs < Number.POSITIVE_INFINITY).length,
    ]);
  }
  await flush();
  // A push that is done at once tells so after the pop that it served, or before: both are right.
  expect([...trace.lines].sort()).toEqual([...expected].sort());
  const popped = (lines: readonly string[]): string[] => lines.filter((line) => line.includes(' '));
  expect(popped(trace.lines)).toEqual(popped(expected));
}

describe('Queue', () => {
  test('does what the model does, in every short sequence of steps', async () => {
    const steps: Step[] = [
      { op: 'push' },
      { op: 'push', timeoutMs: 1 },
      { op: 'pop' },
      { op: 'abort', nth: 0 },
      { op: 'advance', ms: 1 },
      { op: 'close' },
    ];
    for (const sequence of everySequence(steps, 5)) await compare(sequence);
  });

  test('does what the model does, in long sequences', async () => {
    const timeoutMs = fc.integer({ min: 1, max: 5 });
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 8, arbitrary: fc.record({ op: fc.constantFrom('push', 'pop') }) },
      { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('push', 'pop'), timeoutMs }) },
      { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('tryPush', 'tryPop') }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('abort'), nth: fc.nat(9) } as const) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('advance'), ms: fc.nat(4) } as const) },
      { weight: 1, arbitrary: fc.constant<Step>({ op: 'close' }) },
    );
    const end = fc.constantFrom<Step[]>([], [{ op: 'close' }], [{ op: 'abortAll' }, { op: 'push' }]);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), end, (steps, last) => compare([...steps, ...last])),
      { numRuns: 1_000 },
    );
  });

  test('iterates to the end after close(), throws after abort()', async () => {
    const queue = new Queue<number>({ capacity: 100 });
    for (let i = 0; i < 40; i++) queue.tryPush(i);
    const seen: number[] = [];
    const reading = (async () => {
      for await (const item of queue) seen.push(item);
    })();
    await flush();
    await queue.push(40);
    queue.close();
    await reading;
    expect(seen).toEqual(Array.from({ length: 41 }, (_, i) => i));

    const aborted = new Queue<number>();
    const failing = (async () => {
      for await (const _ of aborted);
    })();
    const cause = new Error('why');
    aborted.abort(cause);
    await expect(failing).rejects.toMatchObject({ code: 'SUNSTAR_QUEUE_ABORTED', cause });
  });
});
