import type { Completion } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OneShotTimer } from '../../src/appender/append-target.js';
import {
  type DispatchLoop,
  type DispatchTarget,
  FlushDispatcher,
  type FlushDispatcherOptions,
} from '../../src/dispatch/flush-dispatcher.js';
import { randomOf, settle } from '../appender/manual-target.js';

interface Parked {
  readonly kind: 'write' | 'flush' | 'defer' | 'timer';
  readonly complete: (error?: Error) => void;
}

/** A device that completes what it has in any order; it knows what a flush has made durable. */
class ManualDevice implements DispatchTarget<number, number>, DispatchLoop {
  readonly parked: Parked[] = [];
  /** Writes in the order in which they were dispatched. */
  readonly dispatched: number[] = [];
  readonly completed = new Set<number>();
  readonly durable = new Set<number>();
  flushes = 0;
  timers = 0;
  nowMs = 0;

  write(data: number): Promise<number> {
    this.dispatched.push(data);
    return this.#park('write', () => {
      this.completed.add(data);
      return data * 2;
    });
  }

  flush(): Promise<number> {
    this.flushes++;
    const covered = [...this.completed];
    return this.#park('flush', () => {
      for (const data of covered) this.durable.add(data);
      return 0;
    });
  }

  defer(task: Completion): void {
    this.parked.push({ kind: 'defer', complete: () => task.complete(0, 0) });
  }

  makeTimer(completion: Completion): OneShotTimer {
    let parked: Parked | null = null;
    const cancel = (): void => {
      if (parked !== null) this.parked.splice(this.parked.indexOf(parked), 1);
      parked = null;
    };
    this.timers++;
    return {
      arm: () => {
        if (parked !== null) return;
        parked = {
          kind: 'timer',
          complete: () => {
            parked = null;
            completion.complete(0, 0);
          },
        };
        this.parked.push(parked);
      },
      cancel,
      close: () => {
        cancel();
        this.timers--;
        return Promise.resolve();
      },
    };
  }

  complete(index: number, error?: Error): void {
    const [operation] = this.parked.splice(index, 1);
    operation.complete(error);
  }

  #park(kind: 'write' | 'flush', done: () => number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.parked.push({
        kind,
        complete: (error) => (error === undefined ? resolve(done()) : reject(error)),
      });
    });
  }
}

function kinds(device: ManualDevice): string[] {
  return device.parked.map((operation) => operation.kind);
}

async function completeAll(device: ManualDevice): Promise<void> {
  await settle();
  while (device.parked.length > 0) {
    device.complete(0);
    await settle();
  }
}

describe('FlushDispatcher', () => {
  it('makes three writes and one flush of write, flush, write, flush, write, flush', async () => {
    const device = new ManualDevice();
    await using dispatcher = new FlushDispatcher(device, device);
    const results: string[] = [];
    for (const data of [1, 2, 3]) {
      void dispatcher.write(data).then((result) => results.push(`write ${result}`));
      void dispatcher.flush().then(() => results.push(`flush ${data}`));
    }
    expect(kinds(device)).toEqual(['defer']);
    device.complete(0);
    expect(kinds(device)).toEqual(['write', 'write', 'write']);
    expect(device.dispatched).toEqual([1, 2, 3]);
    await completeAll(device);
    expect(device.flushes).toBe(1);
    expect(results).toEqual(['write 2', 'write 4', 'write 6', 'flush 1', 'flush 2', 'flush 3']);
    expect(dispatcher.stats).toMatchObject({ writes: 3, flushesAsked: 3, flushes: 1 });
    await dispatcher.flush();
    expect(device.flushes).toBe(1);
    const closing = dispatcher.close();
    await completeAll(device);
    await closing;
  });

  it('tells each caller its own result', async () => {
    const device = new ManualDevice();
    const dispatcher = new FlushDispatcher(device, device);
    const good = dispatcher.write(1);
    const bad = dispatcher.write(2);
    const flushed = dispatcher.flush();
    device.complete(0);
    device.complete(1, new Error('no room'));
    device.complete(0);
    await expect(bad).rejects.toThrow('no room');
    expect(await good).toBe(2);
    await completeAll(device);
    await flushed;
    expect(device.durable).toEqual(new Set([1]));
    const closing = dispatcher.close();
    await completeAll(device);
    await closing;
    await expect(dispatcher.write(3)).rejects.toMatchObject({ code: 'SUNSTAR_DISPATCHER_CLOSED' });
  });

  it('refuses everything after a flush that failed', async () => {
    const device = new ManualDevice();
    const dispatcher = new FlushDispatcher(device, device);
    const written = dispatcher.write(1);
    const flushed = dispatcher.flush();
    device.complete(0);
    device.complete(0);
    await written;
    device.complete(0);
    expect(kinds(device)).toEqual(['flush']);
    const late = dispatcher.write(2);
    device.complete(0, new Error('EIO'));
    const poisoned: unknown = expect.objectContaining({ code: 'SUNSTAR_DISPATCHER_POISONED' });
    await expect(flushed).rejects.toEqual(poisoned);
    await expect(late).rejects.toEqual(poisoned);
    await expect(dispatcher.flush()).rejects.toEqual(poisoned);
    const closing = dispatcher.close();
    await completeAll(device);
    await closing;
    expect(device.dispatched).toEqual([1]);
  });

  it('bounds what may wait', async () => {
    const device = new ManualDevice();
    const dispatcher = new FlushDispatcher(device, device, { maxQueued: 2, maxWrites: 1 });
    const writes = [dispatcher.write(1), dispatcher.write(2)];
    await expect(dispatcher.write(3)).rejects.toMatchObject({ code: 'SUNSTAR_DISPATCHER_FULL' });
    device.complete(0);
    expect(kinds(device)).toEqual(['write']);
    await completeAll(device);
    await Promise.all(writes);
    const closing = dispatcher.close();
    await completeAll(device);
    await closing;
  });

  it('keeps order, coverage and every result, whatever completes when', async () => {
    const action = fc.oneof(
      { weight: 3, arbitrary: fc.constant({ kind: 'write' as const }) },
      { weight: 2, arbitrary: fc.constant({ kind: 'flush' as const }) },
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('complete' as const), which: fc.nat(50) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const), which: fc.nat(50) }) },
    );
    const options: fc.Arbitrary<FlushDispatcherOptions> = fc.record({
      maxDelayMs: fc.constantFrom(0, 1, 1000),
      maxWrites: fc.constantFrom(1, 3, 64),
    });
    await fc.assert(
      fc.asyncProperty(
        options,
        fc.boolean(),
        fc.array(action, { maxLength: 100, size: 'max' }),
        async (o, canFail, actions) => {
          const device = new ManualDevice();
          const dispatcher = new FlushDispatcher(device, device, o);
          const random = randomOf(7);
          const promises: Promise<void>[] = [];
          const failed = new Set<number>();
          let given = 0;
          let settled = 0;
          let poisoned = false;
          for (const step of actions) {
            device.nowMs += 10;
            const { parked } = device;
            if (step.kind === 'write') {
              const data = given++;
              promises.push(
                dispatcher.write(data).then(
                  (result) => {
                    settled++;
                    expect(result).toBe(data * 2);
                  },
                  () => {
                    settled++;
                    failed.add(data);
                  },
                ),
              );
            } else if (step.kind === 'flush') {
              const until = given;
              promises.push(
                dispatcher.flush().then(
                  () => {
                    settled++;
                    for (let data = 0; data < until; data++) {
                      expect(device.durable.has(data) || failed.has(data)).toBe(true);
                    }
                  },
                  () => {
                    settled++;
                    expect(poisoned).toBe(true);
                  },
                ),
              );
            } else if (parked.length > 0) {
              const index = step.which % parked.length;
              const { kind } = parked[index];
              const fails = canFail && step.kind === 'fail' && (kind === 'write' || kind === 'flush');
              if (fails && kind === 'flush') poisoned = true;
              device.complete(index, fails ? new Error('device') : undefined);
            }
            await settle();
            dispatcher.invariants();
            // In the order in which they were given.
            expect(device.dispatched.every((data, i) => data === i || poisoned)).toBe(true);
          }
          const closing = dispatcher.close();
          for (let i = 0; device.parked.length > 0 || i < 1; i++) {
            if (device.parked.length > 0) device.complete(Math.floor(random() * device.parked.length));
            await settle();
          }
          await closing;
          await Promise.all(promises);
          expect(settled).toBe(promises.length);
          expect(dispatcher.stats.flushes).toBeLessThanOrEqual(dispatcher.stats.flushesAsked);
          expect(device.timers).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});
