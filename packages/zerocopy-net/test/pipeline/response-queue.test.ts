import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ResponseQueue } from '../../src/pipeline/response-queue.ts';

/** Parks every write until the test lets it through, or fails it. */
class ManualSink {
  readonly written: string[] = [];
  #settle: ((error?: Error) => void) | null = null;

  write(response: unknown): Promise<void> {
    expect(this.#settle).toBeNull();
    this.written.push(String(response));
    return new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
  }

  get isBusy(): boolean {
    return this.#settle !== null;
  }

  async settle(error?: Error): Promise<void> {
    const settle = this.#settle;
    this.#settle = null;
    settle?.(error);
    for (let i = 0; i < 4; i++) await Promise.resolve();
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('open' as const), silent: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('respond' as const), which: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('break' as const) }) },
);

describe('ResponseQueue', () => {
  test('writes in the order of requests whatever order responses come in, and gives every cost back once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 120 }),
        fc.integer({ min: 1, max: 6 }),
        async (steps, capacity) => {
          const sink = new ManualSink();
          const returned: number[] = [];
          const failures: unknown[] = [];
          const queue = new ResponseQueue(
            sink,
            capacity,
            (cost) => returned.push(cost),
            (cause) => failures.push(cause),
          );
          let failed = 0;
          const waiting: { sequence: number; silent: boolean }[] = [];
          const speaking: number[] = [];
          let opened = 0;
          for (const action of steps) {
            if (action.kind === 'open' && !queue.isFull) {
              const sequence = queue.open(opened);
              expect(sequence).toBe(opened++);
              waiting.push({ sequence, silent: action.silent });
              if (!action.silent) speaking.push(sequence);
            } else if (action.kind === 'respond' && waiting.length > 0) {
              const [{ sequence, silent }] = waiting.splice(action.which % waiting.length, 1);
              queue.respond(sequence, silent ? null : String(sequence));
            } else if (action.kind === 'settle') await sink.settle();
            else if (action.kind === 'fail' && sink.isBusy) {
              failed++;
              await sink.settle(new Error('gone'));
            } else if (action.kind === 'break') queue.break();
            queue.invariants();
            expect(failures.length).toBe(failed);
            expect(queue.size).toBe(opened - returned.length);
            expect(queue.size).toBeLessThanOrEqual(capacity);
          }
          for (const { sequence, silent } of waiting)
            queue.respond(sequence, silent ? null : String(sequence));
          while (queue.size > 0) await sink.settle();
          expect(returned).toEqual(Array.from({ length: opened }, (_, index) => index));
          // In order, and nothing left out unless the connection broke: then a prefix.
          expect(sink.written).toEqual(speaking.slice(0, sink.written.length).map(String));
          if (!steps.some((action) => action.kind === 'fail' || action.kind === 'break')) {
            expect(sink.written.length).toBe(speaking.length);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
