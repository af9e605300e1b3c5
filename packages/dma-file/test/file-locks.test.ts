import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DmaFile } from '@sunstar/dma-file';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LockQueue, type LockRequest } from '../src/lock-queue.js';
import { scratch } from './support.js';

const { path } = scratch();

/** Everything that is due in this turn of the loop has run. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function openTwice(name: string): Promise<[DmaFile, DmaFile]> {
  const one = await DmaFile.open(path(name), { flags: 'w+' });
  return [one, await DmaFile.open(path(name), { flags: 'r+' })];
}

describe('waiting for a lock', () => {
  it('ends when the other file gives it up, or is closed', async () => {
    const [one, two] = await openTwice('whole');
    await one.lock();
    const order: string[] = [];
    const waiting = two.lock().then(() => order.push('two'));
    await settle();
    order.push('unlock');
    one.unlock();
    await waiting;
    expect(order).toEqual(['unlock', 'two']);
    const again = one.lock({ timeoutMs: 10_000 });
    await two.close();
    await again;
    await one.close();
  });

  it('leaves the shard free, and ends with its time or its signal', async () => {
    const [one, two] = await openTwice('ends');
    await one.lockRange(0, 100);
    await expect(two.lockRange(50, 10, { timeoutMs: 5 })).rejects.toMatchObject({ code: 'SUNSTAR_TIMEOUT' });
    const abort = new AbortController();
    const waiting = two.lockRange(50, 10, { signal: abort.signal });
    expect(await two.size()).toBe(0);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'SUNSTAR_ABORTED' });
    // Neither wait has left anything behind.
    one.unlockRange(0, 100);
    expect(one.tryLockRange(50, 10)).toBe(true);
    const waitsForClosed = expect(two.lockRange(50, 10)).rejects.toMatchObject({
      code: 'SUNSTAR_FILE_CLOSED',
    });
    await two.close();
    await waitsForClosed;
    await one.close();
    await expect(one.lock()).rejects.toMatchObject({ code: 'SUNSTAR_FILE_CLOSED' });
  });

  it('is in order: nobody overtakes one whom it excludes, and who excludes nobody need not wait', async () => {
    const [one, two] = await openTwice('order');
    const three = await DmaFile.open(path('order'), { flags: 'r+' });
    await one.lockRange(0, 100, { shared: true });
    const order: string[] = [];
    const writer = two.lockRange(0, 100).then(() => order.push('writer'));
    const reader = three.lockRange(10, 10, { shared: true }).then(() => order.push('reader'));
    // It would get the lock from the kernel, but not before the writer.
    expect(three.tryLockRange(20, 10, { shared: true })).toBe(false);
    await three.lockRange(100, 10);
    order.push('elsewhere');
    one.unlockRange(0, 100);
    await writer;
    two.unlockRange(0, 100);
    await reader;
    expect(order).toEqual(['elsewhere', 'writer', 'reader']);
    for (const file of [one, two, three]) await file.close();
  });

  it('sees what another process gives up', async () => {
    writeFileSync(path('process'), '');
    const script = fileURLToPath(new URL('./hold-lock.mjs', import.meta.url));
    const child = spawn(process.execPath, [script, path('process'), '0', '0'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const file = await DmaFile.open(path('process'), { flags: 'r+' });
    expect(file.tryLockRange(7, 1)).toBe(false);
    const waiting = file.lockRange(7, 1, { timeoutMs: 15_000 });
    child.stdin.end();
    await waiting;
    await once(child, 'exit');
    await file.close();
  });
});

/** A lock of a byte, shared or not, of somebody. */
class ByteLock implements LockRequest {
  readonly table: Set<ByteLock>;
  readonly byte: number;
  readonly isShared: boolean;

  constructor(table: Set<ByteLock>, byte: number, isShared: boolean) {
    this.table = table;
    this.byte = byte;
    this.isShared = isShared;
  }

  excludes(other: LockRequest): boolean {
    return other instanceof ByteLock && other.byte === this.byte && !(this.isShared && other.isShared);
  }

  take(): boolean {
    for (const held of this.table) if (held.excludes(this)) return false;
    this.table.add(this);
    return true;
  }
}

describe('LockQueue', () => {
  it('keeps the order, excludes, and forgets nobody, whoever comes, leaves and gives up', async () => {
    const step = fc.record({
      what: fc.constantFrom('take', 'take', 'try', 'release', 'abort'),
      byte: fc.nat(1),
      isShared: fc.boolean(),
      which: fc.nat(100),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const table = new Set<ByteLock>();
        // Those who wait, in order.
        const waiting = new Map<ByteLock, AbortController>();
        const check = (): void => {
          for (const one of table)
            for (const two of table) expect(one !== two && one.excludes(two)).toBe(false);
          const earlier: ByteLock[] = [];
          for (const lock of waiting.keys()) {
            const isFree = ![...table, ...earlier].some((other) => other.excludes(lock));
            expect(isFree, 'one who could have its lock waits').toBe(false);
            earlier.push(lock);
          }
        };
        for (const { what, byte, isShared, which } of steps) {
          const lock = new ByteLock(table, byte, isShared);
          if (what === 'take') {
            const abort = new AbortController();
            waiting.set(lock, abort);
            LockQueue.take('model', lock, { signal: abort.signal }).then(
              () => waiting.delete(lock),
              () => waiting.delete(lock),
            );
          } else if (what === 'try') {
            const isExcluded = [...table, ...waiting.keys()].some((other) => other.excludes(lock));
            expect(LockQueue.tryTake('model', lock)).toBe(!isExcluded);
          } else if (what === 'release' && table.size > 0) {
            table.delete([...table][which % table.size]);
            LockQueue.released('model');
          } else if (what === 'abort' && waiting.size > 0) {
            [...waiting.values()][which % waiting.size].abort();
          }
          await settle();
          check();
        }
        while (table.size > 0) {
          table.clear();
          LockQueue.released('model');
          await settle();
        }
        expect(waiting.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
