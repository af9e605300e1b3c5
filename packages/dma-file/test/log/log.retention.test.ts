import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DirectoryStorage, Log, type LogOptions, makeDirectory } from '@sunstar/dma-file';
import { describe, expect, it } from 'vitest';
import { scratch } from '../support.js';
import { FailingStorage } from './failing-storage.js';

const { path } = scratch();
let directories = 0;

const OPTIONS: LogOptions = {
  segmentBytes: 65536,
  maxRecycled: 0,
  appender: { allocationStepBytes: 65536, zeroAheadBytes: 0 },
};
const EIO = { code: 'SUNSTAR_EIO' };

async function open(options: LogOptions): Promise<{ log: Log; storage: FailingStorage; directory: string }> {
  const directory = path(`log-${directories++}`);
  await makeDirectory(directory);
  const storage = new FailingStorage(new DirectoryStorage(directory));
  return { log: await Log.open(storage, options), storage, directory };
}

/** One segment for each batch. */
async function fill(log: Log, batches: number): Promise<void> {
  for (let i = 0; i < batches; i++) {
    await log.append(Buffer.alloc(1000, log.nextSequence));
    await log.roll();
  }
}

function namesOf(directory: string, ending: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(ending))
    .sort();
}

function basesOf(directory: string, ending: string): number[] {
  return namesOf(directory, ending).map((name) => Number.parseInt(name, 10));
}

describe('retention of a log', () => {
  it.each(['.index', '.log'])(
    'stops at a %s that cannot be removed, and goes on with it later',
    async (ending) => {
      let nowMs = 1000;
      const { log, storage, directory } = await open({ ...OPTIONS, retentionMs: 1000, now: () => nowMs });
      await fill(log, 6);
      expect(basesOf(directory, '.log')).toEqual([0, 1, 2, 3, 4, 5, 6]);
      nowMs += 1000;
      storage.fails = (asked, name) =>
        asked === 'remove' && name === `${String(2).padStart(16, '0')}${ending}`;
      for (let i = 0; i < 2; i++) {
        await expect(log.applyRetention()).rejects.toMatchObject(EIO);
        // A gap would be the end of the log.
        expect(basesOf(directory, '.log')).toEqual([2, 3, 4, 5, 6]);
      }
      storage.fails = () => false;
      await log.applyRetention();
      expect(basesOf(directory, '.log')).toEqual([6]);
      expect(basesOf(directory, '.index')).toEqual([]);
      log.invariants();
      await log.close();
    },
  );

  it.each([0, 2])('leaves no file behind, of %i that are kept to be written again', async (maxRecycled) => {
    const { log, directory } = await open({ ...OPTIONS, maxRecycled, retentionBytes: 3000 });
    await fill(log, 20);
    const bases = basesOf(directory, '.log');
    expect(bases.length).toBeLessThan(6);
    expect(basesOf(directory, '.index')).toEqual(bases.slice(0, -1));
    const others = readdirSync(directory).filter((name) => !/^\d{16}\.(log|index)$/.test(name));
    expect(others.filter((name) => !name.startsWith('recycled-'))).toEqual(['lock']);
    expect(others.length).toBeLessThanOrEqual(1 + maxRecycled);
    expect(log.stats.recycled > 10).toBe(maxRecycled > 0);
    await log.close();
    // Not while it was open either: an index that was being saved.
    expect(basesOf(directory, '.index')).toEqual(bases);
  });

  it('does not write the file of a segment again that is being read', async () => {
    let nowMs = 1000;
    const { log, directory } = await open({
      ...OPTIONS,
      maxRecycled: 10,
      retentionMs: 1000,
      now: () => nowMs,
    });
    for (const byte of [0, 1, 2]) await log.append(Buffer.alloc(5000, byte));
    await log.roll();
    await fill(log, 1);
    const inodes = namesOf(directory, '.log').map((name) => statSync(join(directory, name)).ino);
    const reader = log.read();
    expect((await reader.next()).value?.sequence).toBe(0);
    nowMs += 1000;
    await log.applyRetention();
    await fill(log, 3);
    const left = new Set(readdirSync(directory).map((name) => statSync(join(directory, name)).ino));
    expect(inodes.map((inode) => left.has(inode))).toEqual([false, true, true]);
    // It reads to its end.
    for (const byte of [1, 2]) {
      const { value } = await reader.next();
      expect(value?.payload.equals(Buffer.alloc(5000, byte))).toBe(true);
    }
    await reader.return();
    // Nobody reads any more: those that go now are kept.
    const recycled = readdirSync(directory).filter((name) => name.startsWith('recycled-')).length;
    nowMs += 1000;
    await log.applyRetention();
    expect(readdirSync(directory).filter((name) => name.startsWith('recycled-')).length).toBeGreaterThan(
      recycled,
    );
    await log.close();
  });

  it('takes nothing away before what a failed roll has left behind it', async () => {
    let nowMs = 1000;
    const options = { ...OPTIONS, retentionMs: 1000, now: () => nowMs };
    const { log, storage, directory } = await open(options);
    await log.append(Buffer.alloc(1000, 0));
    // The next segment is begun, and then neither synced nor removed.
    storage.fails = (asked) => asked === 'sync' || asked === 'remove';
    await expect(log.roll()).rejects.toMatchObject(EIO);
    expect(basesOf(directory, '.log')).toEqual([0, 1]);
    storage.fails = (asked, name) => asked === 'remove' && name.startsWith('0000000000000001');
    await log.append(Buffer.alloc(1000, 1));
    await log.roll();
    await log.append(Buffer.alloc(1000, 2));
    nowMs += 1000;
    await expect(log.applyRetention()).rejects.toMatchObject(EIO);
    expect(basesOf(directory, '.log')).toEqual([0, 1, 2]);
    storage.fails = () => false;
    await log.applyRetention();
    expect(basesOf(directory, '.log')).toEqual([2]);
    await log.close();
    await using again = await Log.open(new DirectoryStorage(directory), options);
    expect(again).toMatchObject({ firstSequence: 2, nextSequence: 3 });
  });
});
