import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  attach,
  Barrier,
  ConditionVariable,
  currentGroupId,
  DEFAULT_GROUP_ID,
  ExpiringFifo,
  IORING_OP,
  Latch,
  MAX_GROUPS,
  Mutex,
  maxConcurrentForEach,
  maybeYield,
  needPreempt,
  offload,
  Queue,
  Runtime,
  RwLock,
  retry,
  Semaphore,
  SharedPromise,
  sleep,
  Timer,
  threadTimers,
  withTimeout,
  yieldNow,
} from '@sunstar/runtime';
import { describe, expect, it } from 'vitest';
import { makeGroups, runMixed } from './mixed-groups.mjs';

const shard = attach({ memory: '16MiB' });
const { groups, reactor } = shard;
const nop = (): Promise<number> => reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0);

describe('with the default group only', () => {
  it('a loop that yields lets operations and timers have their turn', async () => {
    const rounds = { operation: 0, timer: 0 };
    let isOver = false;
    for (const [what, wait] of [
      ['operation', nop],
      ['timer', () => sleep(1)],
    ] as const) {
      void (async () => {
        while (!isOver) {
          await wait();
          rounds[what]++;
        }
      })();
    }
    while (rounds.operation < 20 || rounds.timer < 20) {
      while (!needPreempt());
      await yieldNow();
    }
    isOver = true;
  });

  it('yields in order', async () => {
    const order: number[] = [];
    const loop = async (id: number): Promise<void> => {
      for (let i = 0; i < 3; i++) {
        order.push(id);
        await yieldNow();
      }
    };
    await Promise.all([loop(1), loop(2), loop(3)]);
    expect(order).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
  });

  it('maybeYield() costs no promise until the quota is used up', async () => {
    await yieldNow();
    let calls = 0;
    let pause = maybeYield();
    while (pause === undefined) {
      calls++;
      pause = maybeYield();
    }
    expect(calls).toBeGreaterThan(0);
    await pause;
  });
});

describe('groups', () => {
  it('have names, shares and parents, which are checked', () => {
    const [, service, , requests] = makeGroups(shard);
    expect(requests).toMatchObject({
      name: 'requests',
      shares: 200,
      parent: service,
      latencySensitive: false,
    });
    expect(requests.ioShares).toBe(200);
    requests.shares = 250;
    expect([requests.shares, requests.ioShares]).toEqual([250, 250]);
    requests.ioShares = 10;
    expect([requests.shares, requests.ioShares]).toEqual([250, 10]);
    expect(groups.find('requests')).toBe(requests);
    expect(groups.default.id).toBe(DEFAULT_GROUP_ID);
    const wrong = { code: 'SUNSTAR_INVALID_OPTION' };
    for (const options of [
      { name: '' },
      { name: 'x'.repeat(65) },
      { name: 'shares', shares: 0 },
      { name: 'shares', shares: 1001 },
      { name: 'shares', shares: Number.NaN },
      { name: 'io', ioShares: 0.5 },
      { name: 'io', ioBytesPerSecond: 0 },
      { name: 'parent', parent: Object.create(service) as typeof service },
    ]) {
      expect(() => groups.create(options)).toThrow(expect.objectContaining(wrong));
    }
    expect(() => {
      requests.shares = 0;
    }).toThrow(expect.objectContaining(wrong));
    expect(() => groups.create({ name: 'requests' })).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_GROUP_EXISTS' }),
    );
    expect(groups.find('shares')).toBeUndefined();
  });

  it('run functions at once where they are, and elsewhere in turns of their own', async () => {
    const [, service, background] = makeGroups(shard);
    await service.run(async () => {
      let ran = false;
      const done = service.run(() => {
        ran = true;
      });
      expect(ran).toBe(true);
      await done;
      expect(await background.run(() => currentGroupId())).toBe(background.id);
      expect(currentGroupId()).toBe(service.id);
    });
    expect(currentGroupId()).toBe(DEFAULT_GROUP_ID);
  });

  it('take callbacks of operations, timers and deferred tasks', async () => {
    const [, service] = makeGroups(shard);
    const seen: Record<string, number> = {};
    await service.run(async () => {
      const note = (what: string): { complete(): void } => ({
        complete() {
          seen[what] = currentGroupId();
        },
      });
      reactor.submit(note('operation'), IORING_OP.NOP, -1, 0, 0, 0);
      reactor.defer(note('deferred'));
      process.nextTick(() => note('next tick').complete());
      setTimeout(() => note('timeout of Node').complete(), 1);
      const timer = new Timer(() => note('timer').complete());
      threadTimers.arm(timer, 1);
      await sleep(10);
      note('sleep').complete();
    });
    const { id } = service;
    expect(seen).toEqual({
      operation: id,
      deferred: id,
      'next tick': id,
      'timeout of Node': DEFAULT_GROUP_ID,
      timer: id,
      sleep: id,
    });
  });

  it('a timer that is due can still be cancelled and armed anew', async () => {
    const [, service, background] = makeGroups(shard);
    let runs = 0;
    let rearmed: Promise<void> | undefined;
    const timer = new Timer(() => runs++);
    const other = new Timer(() => {
      // Due before, and found so in the same look at the clock: the first one waits for a turn of its group.
      expect([timer.isArmed, threadTimers.cancel(timer), timer.isArmed, threadTimers.cancel(timer)]).toEqual([
        true,
        true,
        false,
        false,
      ]);
      rearmed = background.run(() => threadTimers.arm(timer, 1));
    });
    await service.run(() => threadTimers.arm(timer, 50));
    threadTimers.arm(other, 50);
    for (const endMs = performance.now() + 60; performance.now() < endMs; );
    while (other.isArmed) await sleep(1);
    await rearmed;
    while (timer.isArmed) await sleep(1);
    expect(runs).toBe(1);
  });

  it('continue where they were, at any depth of awaits, with operations, timers, locks and other groups', async () => {
    const { checks, wrong } = await runMixed(shard, 2_000, 1);
    expect(wrong.slice(0, 10)).toEqual([]);
    expect(checks).toBeGreaterThan(20_000);
  });

  it('are measured', async () => {
    const [, service] = makeGroups(shard);
    const before = groups.stats()[service.id];
    await service.run(async () => {
      for (let i = 0; i < 5; i++) await nop();
    });
    const after = groups.stats()[service.id];
    expect(after).toMatchObject({ id: service.id, name: 'service', shares: 300, queueLength: 0 });
    expect(after.items - before.items).toBeGreaterThanOrEqual(6);
    expect(after.turns - before.turns).toBeGreaterThanOrEqual(6);
    expect(after.runMs).toBeGreaterThan(before.runMs);
    expect(groups.stats().map(({ id }) => id)).toEqual(groups.all.map(({ id }) => id));
  });

  it('hear of what a task throws as an uncaught exception, and go on', async () => {
    const [, service] = makeGroups(shard);
    const caught: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => caught.push(error.message));
    await service.run(async () => {
      const failing = {
        complete() {
          throw new Error('operation');
        },
      };
      reactor.submit(failing, IORING_OP.NOP, -1, 0, 0, 0);
      reactor.defer({
        complete() {
          throw new Error('deferred');
        },
      });
      for (let i = 0; i < 3; i++) await nop();
    });
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(caught.sort()).toEqual(['deferred', 'operation']);
  });

  it('have the same ids on every shard, and continue where they were on each', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sunstar-groups-'));
    const journal = join(directory, 'journal');
    try {
      const runtime = await Runtime.start({
        entry: new URL('groups-shard.mjs', import.meta.url),
        shards: 2,
        memory: '32MiB',
        log: 'silent',
        data: { journal, chains: 500 },
      });
      await runtime.stop();
      const [first, second] = readFileSync(journal, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { ids: object; wrong: string[]; checks: number });
      expect([first.wrong, second.wrong]).toEqual([[], []]);
      expect(first.ids).toEqual(second.ids);
      expect(Math.min(first.checks, second.checks)).toBeGreaterThan(5_000);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('continue where they were when a signal or a time limit ends a wait', async () => {
    const [, service, background] = makeGroups(shard);
    const work = new URL('../offload/work.mjs', import.meta.url);
    const kinds: Record<string, (options: { signal: AbortSignal }) => unknown> = {
      semaphore: async (options) => {
        const semaphore = new Semaphore(1);
        await semaphore.acquire();
        await semaphore.acquire(1, options);
      },
      mutex: async (options) => {
        const mutex = new Mutex();
        await mutex.lock();
        await mutex.lock(options);
      },
      'read-write lock': async (options) => {
        const lock = new RwLock();
        await lock.lockRead();
        await lock.lockWrite(options);
      },
      pop: (options) => new Queue().pop(options),
      push: async (options) => {
        const queue = new Queue<number>({ capacity: 1 });
        await queue.push(1);
        await queue.push(2, options);
      },
      condition: (options) => new ConditionVariable().wait(options),
      barrier: (options) => new Barrier(2).arrive(options),
      latch: (options) => new Latch(1).wait(options),
      'shared promise': (options) => new SharedPromise().wait(options),
      sleep: (options) => sleep(60_000, options),
      loop: (options) => maxConcurrentForEach([1, 2], 1, () => sleep(5), options),
      retry: (options) =>
        retry(() => Promise.reject(new Error('again')), {
          initialDelayMs: 60_000,
          jitter: 'none',
          ...options,
        }),
      fifo: ({ signal }) =>
        new Promise((_, reject) =>
          new ExpiringFifo({ onExpired: (_item, error) => reject(error) }).push(1, { signal }),
        ),
      'offloaded work': (options) => offload(work, 'sleepFor', [60_000], options),
    };
    const abortIn: Record<string, (abort: () => void) => void> = {
      node: (abort) => setImmediate(abort),
      'another group': (abort) => void background.run(abort),
    };
    const wrong: string[] = [];
    for (const [kind, wait] of Object.entries(kinds)) {
      for (const [where, abortThere] of Object.entries(abortIn)) {
        await service.run(async () => {
          const controller = new AbortController();
          const waiting = Promise.resolve(wait({ signal: controller.signal }));
          abortThere(() => controller.abort());
          await expect(waiting).rejects.toThrow();
          if (currentGroupId() !== service.id) wrong.push(`${kind} aborted in ${where}: ${currentGroupId()}`);
        });
      }
    }
    await service.run(async () => {
      expect(await offload(work, 'add', [1, 2])).toBe(3);
      if (currentGroupId() !== service.id) wrong.push('offloaded work that has ended');
      await expect(offload(work, 'sleepFor', [60_000], { timeoutMs: 1 })).rejects.toThrow();
      if (currentGroupId() !== service.id) wrong.push('offloaded work that took too long');
      await expect(withTimeout(1, new Promise(() => {}))).rejects.toThrow();
      if (currentGroupId() !== service.id) wrong.push('withTimeout');
    });
    expect(wrong).toEqual([]);
  });

  it('are 255 at most', () => {
    for (let i = groups.all.length; i < MAX_GROUPS; i++) groups.create({ name: `one more ${i}` });
    expect(() => groups.create({ name: 'too many' })).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_TOO_MANY_GROUPS' }),
    );
    expect(groups.all.map(({ id }) => id)).toEqual(Array.from({ length: MAX_GROUPS }, (_, id) => id));
  });
});
