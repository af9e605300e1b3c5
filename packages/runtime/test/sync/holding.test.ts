// What is held with `using`, what is run inside, and the state after misuse and after break().
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LowresClock } from '../../src/sync/lowres-clock.ts';
import { Mutex } from '../../src/sync/mutex.ts';
import { NodeTimers } from '../../src/sync/node-timers.ts';
import { Queue } from '../../src/sync/queue.ts';
import { READY } from '../../src/sync/ready.ts';
import { RwLock } from '../../src/sync/rw-lock.ts';
import { type Permit, Semaphore } from '../../src/sync/semaphore.ts';
import { Timer } from '../../src/sync/timer.ts';
import { flush, Trace } from './steps.ts';

const withCode = (code: string): unknown => expect.objectContaining({ code });

describe('what is free', () => {
  test('costs no promise', () => {
    expect(new Semaphore(1).acquire()).toBe(READY);
    expect(new Mutex().lock()).toBe(READY);
    expect(new RwLock().lockRead()).toBe(READY);
    expect(new RwLock().lockWrite()).toBe(READY);
    expect(new Queue<number>().push(1)).toBe(READY);
  });
});

describe('Permit', () => {
  test('units are conserved, however permits are split, released and disposed', () => {
    const units = fc.nat(20);
    const step = fc.record({
      op: fc.constantFrom('take', 'split', 'release', 'dispose'),
      units,
      nth: fc.nat(20),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        const semaphore = new Semaphore(30);
        const permits: Permit[] = [];
        for (const { op, units, nth } of steps) {
          const permit = permits[nth % Math.max(permits.length, 1)];
          if (op === 'take') {
            const taken = semaphore.tryPermit(units);
            if (taken !== undefined) permits.push(taken);
          } else if (permit === undefined) {
            continue;
          } else if (op === 'dispose') {
            permit[Symbol.dispose]();
          } else if (units > permit.units) {
            expect(() => (op === 'split' ? permit.split(units) : permit.release(units))).toThrow(
              withCode('SUNSTAR_INVALID_OPTION'),
            );
          } else if (op === 'split') {
            permits.push(permit.split(units));
          } else {
            permit.release(units);
          }
          semaphore.invariants();
          const held = permits.reduce((sum, permit) => sum + permit.units, 0);
          expect(semaphore.available).toBe(30 - held);
        }
      }),
    );
  });
});

describe('Semaphore', () => {
  test('grows and shrinks while units are held', async () => {
    const semaphore = new Semaphore(4);
    const trace = new Trace();
    expect(semaphore.tryAcquire(3)).toBe(true);
    for (const units of [2, 4, 1]) trace.observe(units, semaphore.acquire(units));
    semaphore.resize(2);
    expect([semaphore.available, semaphore.waiters]).toEqual([-1, 2]);
    semaphore.release(3);
    semaphore.resize(3);
    semaphore.invariants();
    await flush();
    expect(trace.lines).toEqual(['-4 NOT_ENOUGH_UNITS', '+2', '+1']);
    await expect(semaphore.acquire(4)).rejects.toMatchObject({ code: 'SUNSTAR_NOT_ENOUGH_UNITS' });
    expect(() => semaphore.release(4)).toThrow(withCode('SUNSTAR_SYNC_MISUSE'));
    await expect(semaphore.acquire(0.5)).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
  });

  test('ends all waits when it is broken, and still takes units back', async () => {
    const semaphore = new Semaphore(1, { name: 'disk' });
    const cause = new Error('gone');
    const permit = await semaphore.permit();
    const waiting = semaphore.acquire();
    semaphore.break(cause);
    await expect(waiting).rejects.toMatchObject({ code: 'SUNSTAR_SEMAPHORE_BROKEN', cause });
    permit.release();
    expect(semaphore.tryAcquire()).toBe(false);
    await expect(semaphore.acquire()).rejects.toThrow(/"disk"/);
    semaphore.invariants();
  });
});

describe('using', () => {
  test('gives back at the end of the block, once, and lets the next one in', async () => {
    const mutex = new Mutex();
    const lines: string[] = [];
    await Promise.all(
      [1, 2, 3].map(async (id) => {
        using held = await mutex.hold();
        lines.push(`${id} in`);
        await flush();
        lines.push(`${id} out`);
        if (id === 2) held[Symbol.dispose]();
      }),
    );
    expect(lines).toEqual(['1 in', '1 out', '2 in', '2 out', '3 in', '3 out']);
    expect(mutex.isLocked).toBe(false);
    expect(() => mutex.unlock()).toThrow(withCode('SUNSTAR_SYNC_MISUSE'));
    expect(mutex.tryHold()).toBeDefined();
    expect(mutex.tryHold()).toBeUndefined();
  });

  test('gives back when the work throws', async () => {
    const semaphore = new Semaphore(2);
    await expect(semaphore.run(() => Promise.reject(new Error('work')), 2)).rejects.toThrow('work');
    expect(semaphore.available).toBe(2);
    const mutex = new Mutex();
    await expect(mutex.run(() => Promise.reject(new Error('work')))).rejects.toThrow('work');
    expect(mutex.isLocked).toBe(false);
    expect(await mutex.run(() => 3)).toBe(3);
  });
});

describe('RwLock', () => {
  test('a writer goes on as a reader, and readers that are next join it', async () => {
    const lock = new RwLock();
    const writer = await lock.holdWrite();
    const trace = new Trace();
    trace.observe('reader', lock.lockRead());
    trace.observe('writer', lock.lockWrite());
    writer.downgrade();
    await flush();
    expect(trace.lines).toEqual(['+reader']);
    expect(() => writer.downgrade()).toThrow(withCode('SUNSTAR_SYNC_MISUSE'));
    lock.unlockRead();
    writer[Symbol.dispose]();
    await flush();
    expect(trace.lines).toEqual(['+reader', '+writer']);
    expect(lock.isWriteLocked).toBe(true);
    expect(() => lock.unlockRead()).toThrow(withCode('SUNSTAR_SYNC_MISUSE'));
    lock.invariants();
  });
});

describe('NodeTimers', () => {
  test('run timers in order, with one timer of Node, and never before their time by the clock', async () => {
    const timers = new NodeTimers({ clock: new LowresClock() });
    const order: number[] = [];
    const startMs = timers.nowMs;
    const earlyMs: number[] = [];
    await new Promise<void>((resolve) => {
      for (const delayMs of [30, 5, 17, 5]) {
        const timer = new Timer(() => {
          order.push(delayMs);
          earlyMs.push(startMs + delayMs - performance.now());
          if (delayMs === 30) resolve();
        });
        timers.arm(timer, delayMs);
      }
      const cancelled = new Timer(() => order.push(-1));
      timers.arm(cancelled, 1);
      expect(timers.cancel(cancelled)).toBe(true);
      expect(timers.cancel(cancelled)).toBe(false);
    });
    expect(order).toEqual([5, 5, 17, 30]);
    expect(earlyMs.filter((ms) => ms > 0)).toEqual([]);
    expect(timers.size).toBe(0);
    timers.invariants();
  });

  test('time the waits of everything that is given no other timers', async () => {
    const semaphore = new Semaphore(0);
    semaphore.resize(1);
    await semaphore.acquire();
    await expect(semaphore.acquire(1, { timeoutMs: 5 })).rejects.toMatchObject({ code: 'SUNSTAR_TIMEOUT' });
    await expect(semaphore.acquire(1, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'SUNSTAR_ABORTED',
    });
    expect(semaphore.waiters).toBe(0);
  });
});
