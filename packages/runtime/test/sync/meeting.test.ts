// Gate, barrier, latch, condition variable, shared promise, expiring FIFO: each against a model of a few lines.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Barrier } from '../../src/sync/barrier.ts';
import { ConditionVariable } from '../../src/sync/condition-variable.ts';
import { ExpiringFifo } from '../../src/sync/expiring-fifo.ts';
import { Gate } from '../../src/sync/gate.ts';
import { Latch } from '../../src/sync/latch.ts';
import { SharedPromise } from '../../src/sync/shared-promise.ts';
import { TimerWheel } from '../../src/sync/timer-wheel.ts';
import { codeOf, everySequence, flush, type ModelWait, Trace, takeExpired } from './steps.ts';

type Step = 'wait' | 'waitBriefly' | 'abort' | 'advance' | 'one' | 'all';
const STEPS: readonly Step[] = ['wait', 'waitBriefly', 'abort', 'advance', 'one', 'all'];

/** Something that is waited for, and its rules. */
interface Subject {
  wait(options: { signal: AbortSignal; timeoutMs?: number }): Promise<unknown>;
  readonly waiters: number;
  invariants(): void;
  /** The steps `one` and `all`. */
  one(): void;
  all(): void;
}

interface Rules {
  /** How a wait that begins ends at once; undefined when it has to wait. Called before the waiter is in the list. */
  begin(waits: ModelWait[], settle: (wait: ModelWait, how: string) => void): string | undefined;
  /** After one gave up. */
  abandoned?(waits: ModelWait[], settle: (wait: ModelWait, how: string) => void): void;
  one(waits: ModelWait[], settle: (wait: ModelWait, how: string) => void): void;
  all(waits: ModelWait[], settle: (wait: ModelWait, how: string) => void): void;
}

async function compare(
  make: (timers: TimerWheel) => Subject,
  makeRules: () => Rules,
  steps: readonly Step[],
): Promise<void> {
  const timers = new TimerWheel();
  const subject = make(timers);
  const rules = makeRules();
  const trace = new Trace();
  const expected: string[] = [];
  const waits: ModelWait[] = [];
  const controllers = new Map<number, AbortController>();
  let nowMs = 0;
  const settle = ({ id }: ModelWait, how: string): void => {
    expected.push(how.startsWith('+') ? `+${id}${how.slice(1)}` : `-${id} ${how}`);
  };
  for (const [id, step] of steps.entries()) {
    switch (step) {
      case 'wait':
      case 'waitBriefly': {
        const controller = new AbortController();
        controllers.set(id, controller);
        const wait = { id, deadlineMs: step === 'wait' ? Number.POSITIVE_INFINITY : nowMs + 1 };
        const how = rules.begin(waits, settle);
        if (how === undefined) waits.push(wait);
        else settle(wait, how);
        const { signal } = controller;
        trace.observe(id, subject.wait(step === 'wait' ? { signal } : { signal, timeoutMs: 1 }));
        break;
      }
      case 'abort': {
        const wait = waits.shift();
        if (wait === undefined) break;
        settle(wait, 'ABORTED');
        rules.abandoned?.(waits, settle);
        controllers.get(wait.id)?.abort();
        break;
      }
      case 'advance':
        takeExpired([waits], ++nowMs, (wait) => {
          settle(wait, 'TIMEOUT');
          rules.abandoned?.(waits, settle);
        });
        timers.advance(nowMs);
        break;
      case 'one':
        rules.one(waits, settle);
        subject.one();
        break;
      case 'all':
        rules.all(waits, settle);
        subject.all();
        break;
    }
    subject.invariants();
    timers.invariants();
    expect(subject.waiters).toBe(waits.length);
  }
  await flush();
  expect(trace.lines).toEqual(expected);
}

const PARTIES = 3;
const barrier = (timers: TimerWheel): Subject => {
  const subject = new Barrier(PARTIES, { timers });
  return {
    wait: (options) => subject.arrive(options),
    get waiters() {
      return subject.waiters;
    },
    invariants: () => subject.invariants(),
    one: () => subject.break(),
    all: () => subject.reset(),
  };
};
const barrierRules = (): Rules => {
  let isBroken = false;
  const breakAll: Rules['one'] = (waits, settle) => {
    isBroken = true;
    for (const wait of waits.splice(0)) settle(wait, 'BARRIER_BROKEN');
  };
  return {
    begin(waits, settle) {
      if (isBroken) return 'BARRIER_BROKEN';
      if (waits.length + 1 < PARTIES) return undefined;
      for (const wait of waits.splice(0)) settle(wait, '+');
      return '+';
    },
    abandoned: breakAll,
    one: breakAll,
    all(waits, settle) {
      breakAll(waits, settle);
      isBroken = false;
    },
  };
};

const latch = (timers: TimerWheel): Subject => {
  const subject = new Latch(2, { timers });
  return {
    wait: (options) => subject.wait(options),
    get waiters() {
      return subject.waiters;
    },
    invariants: () => subject.invariants(),
    one: () => {
      if (!subject.isOpen) subject.countDown();
    },
    all: () => {
      if (!subject.isOpen) subject.countDown(subject.count);
    },
  };
};
const latchRules = (): Rules => {
  let count = 2;
  const down =
    (by: () => number): Rules['one'] =>
    (waits, settle) => {
      count = Math.max(count - by(), 0);
      if (count === 0) for (const wait of waits.splice(0)) settle(wait, '+');
    };
  return { begin: () => (count === 0 ? '+' : undefined), one: down(() => 1), all: down(() => count) };
};

const condition = (timers: TimerWheel): Subject => {
  const subject = new ConditionVariable({ timers });
  return {
    wait: (options) => subject.wait(options),
    get waiters() {
      return subject.waiters;
    },
    invariants: () => subject.invariants(),
    one: () => subject.signal(),
    all: () => subject.broadcast(),
  };
};
const conditionRules = (): Rules => ({
  begin: () => undefined,
  one(waits, settle) {
    const wait = waits.shift();
    if (wait !== undefined) settle(wait, '+');
  },
  all(waits, settle) {
    for (const wait of waits.splice(0)) settle(wait, '+');
  },
});

const shared = (timers: TimerWheel): Subject => {
  const subject = new SharedPromise<number>({ timers });
  return {
    wait: (options) => subject.wait(options),
    get waiters() {
      return subject.waiters;
    },
    invariants: () => subject.invariants(),
    one: () => {
      if (!subject.isSettled) subject.resolve(7);
      else expect(() => subject.resolve(8)).toThrow(/settle it once/);
    },
    all: () => {
      if (!subject.isSettled) subject.reject('why');
    },
  };
};
const sharedRules = (): Rules => {
  let outcome: string | undefined;
  const become =
    (how: string): Rules['one'] =>
    (waits, settle) => {
      outcome ??= how;
      for (const wait of waits.splice(0)) settle(wait, outcome);
    };
  return { begin: () => outcome, one: become('+ 7'), all: become('why') };
};

describe.each([
  { name: 'Barrier', make: barrier, rules: barrierRules },
  { name: 'Latch', make: latch, rules: latchRules },
  { name: 'ConditionVariable', make: condition, rules: conditionRules },
  { name: 'SharedPromise', make: shared, rules: sharedRules },
])('$name', ({ make, rules }) => {
  test('does what the model does, in every short sequence of steps', async () => {
    for (const sequence of everySequence(STEPS, 4)) await compare(make, rules, sequence);
  });

  test('does what the model does, in long sequences', async () => {
    const steps = fc.array(fc.constantFrom('wait', 'wait', 'wait', ...STEPS), { maxLength: 40 });
    await fc.assert(fc.asyncProperty(steps, (sequence) => compare(make, rules, sequence)));
  });

  test('does not begin with a signal that was aborted', async () => {
    const subject = make(new TimerWheel());
    const waiting = subject.wait({ signal: AbortSignal.abort(new Error('why')) });
    await expect(waiting).rejects.toMatchObject({ code: 'SUNSTAR_ABORTED', cause: new Error('why') });
    expect(subject.waiters).toBe(0);
  });
});

describe('SharedPromise.get', () => {
  test('gives what wait() gives, once it is settled', async () => {
    const resolved = new SharedPromise<number>();
    expect(() => resolved.get()).toThrow(expect.objectContaining({ code: 'SUNSTAR_SYNC_MISUSE' }));
    const waiting = resolved.wait();
    resolved.resolve(7);
    expect([resolved.get(), await waiting, await resolved.wait()]).toEqual([7, 7, 7]);
    const rejected = new SharedPromise<number>();
    const why = new Error('why');
    rejected.reject(why);
    expect(() => rejected.get()).toThrow(why);
  });
});

describe('ConditionVariable.waitUntil', () => {
  test('asks again after each wake-up, within one timeout', async () => {
    const timers = new TimerWheel();
    const condition = new ConditionVariable({ timers });
    let value = 0;
    const trace = new Trace();
    trace.observe(
      'zero',
      condition.waitUntil(() => value === 0),
    );
    trace.observe(
      'two',
      condition.waitUntil(() => value === 2, { timeoutMs: 10 }),
    );
    trace.observe(
      'three',
      condition.waitUntil(() => value === 3, { timeoutMs: 10 }),
    );
    for (value = 1; value <= 2; value++) {
      timers.advance(4 * value);
      condition.broadcast();
      await flush();
    }
    timers.advance(10);
    await flush();
    expect(trace.lines).toEqual(['+zero', '+two', '-three TIMEOUT']);
    expect([condition.waiters, timers.size]).toEqual([0, 0]);
  });
});

describe('Gate', () => {
  test('is closed when everybody has left, in every sequence of steps', async () => {
    for (const steps of everySequence(['enter', 'hold', 'leave', 'close'] as const, 6)) {
      const gate = new Gate();
      const holders: Disposable[] = [];
      let plain = 0;
      let closing: Promise<void> | undefined;
      let isDone = false;
      for (const step of steps) {
        if (step === 'close') {
          closing = gate.close();
          void closing.then(() => {
            isDone = true;
          });
        } else if (step === 'leave') {
          if (holders.length > 0) {
            const holder = holders.pop() as Disposable;
            holder[Symbol.dispose]();
            holder[Symbol.dispose]();
          } else if (plain > 0) {
            plain--;
            gate.leave();
          } else {
            expect(() => gate.leave()).toThrow(expect.objectContaining({ code: 'SUNSTAR_SYNC_MISUSE' }));
          }
        } else if (closing !== undefined) {
          expect(gate.tryEnter()).toBe(false);
          expect(() => gate.hold()).toThrow(expect.objectContaining({ code: 'SUNSTAR_GATE_CLOSED' }));
        } else if (step === 'enter') {
          gate.enter();
          plain++;
        } else {
          holders.push(gate.hold());
        }
        gate.invariants();
        expect(gate.count).toBe(plain + holders.length);
      }
      await Promise.resolve();
      expect(isDone).toBe(closing !== undefined && gate.count === 0);
    }
  });

  test('waits for work that runs inside', async () => {
    const lines: string[] = [];
    {
      await using gate = new Gate('work');
      void gate.run(async () => {
        await flush();
        lines.push('worked');
      });
    }
    lines.push('closed');
    expect(lines).toEqual(['worked', 'closed']);
  });
});

describe('ExpiringFifo', () => {
  test('does what a list does', () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ op: fc.constant('push'), timeoutMs: fc.integer({ min: 1, max: 6 }) } as const),
      },
      { weight: 3, arbitrary: fc.constant({ op: 'push', timeoutMs: Number.POSITIVE_INFINITY } as const) },
      { weight: 4, arbitrary: fc.constant({ op: 'shift' } as const) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('abort'), nth: fc.nat(9) } as const) },
      { weight: 3, arbitrary: fc.record({ op: fc.constant('advance'), ms: fc.nat(4) } as const) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const timers = new TimerWheel();
        const lost: string[] = [];
        const expected: string[] = [];
        const capacity = 5;
        const fifo = new ExpiringFifo<number>({
          capacity,
          timers,
          onExpired: (item, error) => lost.push(`${item} ${codeOf(error)}`),
        });
        const model: ModelWait[] = [];
        const controllers = new Map<number, AbortController>();
        let nowMs = 0;
        for (const [id, step] of steps.entries()) {
          switch (step.op) {
            case 'push': {
              const controller = new AbortController();
              controllers.set(id, controller);
              const push = (): void =>
                fifo.push(id, { timeoutMs: step.timeoutMs, signal: controller.signal });
              if (model.length === capacity) {
                expect(push).toThrow(expect.objectContaining({ code: 'SUNSTAR_FIFO_FULL' }));
              } else {
                push();
                model.push({ id, deadlineMs: nowMs + step.timeoutMs });
              }
              break;
            }
            case 'shift':
              expect(fifo.front).toBe(model[0]?.id);
              expect(fifo.shift()).toBe(model.shift()?.id);
              break;
            case 'abort': {
              if (model.length === 0) break;
              const [{ id }] = model.splice(step.nth % model.length, 1);
              expected.push(`${id} ABORTED`);
              controllers.get(id)?.abort();
              break;
            }
            case 'advance':
              nowMs += step.ms;
              takeExpired([model], nowMs, ({ id }) => expected.push(`${id} TIMEOUT`));
              timers.advance(nowMs);
              break;
          }
          fifo.invariants();
          expect(fifo.size).toBe(model.length);
          expect(lost).toEqual(expected);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
