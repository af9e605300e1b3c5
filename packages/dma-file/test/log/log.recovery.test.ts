import { copyFileSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DirectoryStorage, Log, type LogOptions, makeDirectory } from '@sunstar/dma-file';
import { describe, expect, it } from 'vitest';
import { scratch } from '../support.js';
import { FailingStorage } from './failing-storage.js';

const { path } = scratch();
let directories = 0;

const HEADER_BYTES = 40;
const BATCH_BYTES = 4096;
const OPTIONS: LogOptions = {
  segmentBytes: 65536,
  appender: { allocationStepBytes: 65536, zeroAheadBytes: 0 },
};

/** A log of batches of one page each; what says that its segments are complete is gone. */
async function written(batches: number): Promise<DirectoryStorage> {
  const directory = path(`log-${directories++}`);
  await makeDirectory(directory);
  const storage = new DirectoryStorage(directory);
  const log = await Log.open(storage, OPTIONS);
  for (let i = 0; i < batches; i++) await log.append(Buffer.alloc(BATCH_BYTES - HEADER_BYTES, i));
  await log.close();
  for (const name of namesOf(storage, '.index')) unlinkSync(join(directory, name));
  return storage;
}

function namesOf(storage: DirectoryStorage, ending: string): string[] {
  return readdirSync(storage.path)
    .filter((name) => name.endsWith(ending))
    .sort();
}

async function recovered(storage: DirectoryStorage): Promise<{ first: number; next: number }> {
  await using log = await Log.open(storage, OPTIONS);
  log.invariants();
  let next = log.firstSequence;
  for await (const { sequence, payload } of log.read()) {
    expect(sequence).toBe(next);
    expect(payload.every((byte) => byte === (next & 0xff))).toBe(true);
    next++;
  }
  expect(log.nextSequence).toBe(next);
  return { first: log.firstSequence, next };
}

describe('recovery of a log', () => {
  it('ends where a batch is intact and of this segment, but not the next one', async () => {
    const storage = await written(10);
    const [name] = namesOf(storage, '.log');
    const file = join(storage.path, name);
    const bytes = readFileSync(file);
    // As after a write that went to the wrong place.
    const at = (batch: number): number => HEADER_BYTES + batch * BATCH_BYTES;
    bytes.copy(bytes, at(6), at(3), at(4));
    writeFileSync(file, bytes);
    expect(await recovered(storage)).toEqual({ first: 0, next: 6 });
  });

  it('takes no segment for another', async () => {
    const storage = await written(40);
    const [first, second] = namesOf(storage, '.log');
    copyFileSync(join(storage.path, first), join(storage.path, second));
    expect(await recovered(storage)).toEqual({ first: 0, next: Number.parseInt(second, 10) });
    // Its header would be wrong for whatever comes into it.
    expect(namesOf(storage, '.log')).toEqual([first]);
  });

  it('takes an index away that was being saved', async () => {
    const storage = await written(10);
    writeFileSync(join(storage.path, 'index.tmp'), 'half');
    await using log = await Log.open(storage, OPTIONS);
    expect(log.nextSequence).toBe(10);
    expect(readdirSync(storage.path).sort()).toEqual(['0000000000000000.log', 'lock']);
  });

  it('ends before a segment that is missing', async () => {
    const storage = await written(40);
    const names = namesOf(storage, '.log');
    expect(names.length).toBeGreaterThan(2);
    unlinkSync(join(storage.path, names[1]));
    expect(await recovered(storage)).toEqual({ first: 0, next: Number.parseInt(names[1], 10) });
    expect(namesOf(storage, '.log')).toEqual([names[0]]);
  });

  it('fails where an operation fails, and takes nothing for lost', async () => {
    const storage = await written(40);
    const failing = new FailingStorage(storage);
    const before = namesOf(storage, '.log');
    const failed = new Set<string>();
    for (let number = 0; ; number++) {
      let asked = 0;
      let what = '';
      failing.fails = (operation) => {
        if (asked++ !== number) return false;
        what = operation;
        return true;
      };
      const opening = Log.open(failing, OPTIONS);
      if (asked <= number) await opening.catch(() => undefined);
      if (what === '') {
        await (await opening).close();
        break;
      }
      await expect(opening).rejects.toMatchObject({ code: 'SUNSTAR_EIO' });
      failed.add(what);
      expect(namesOf(storage, '.log')).toEqual(before);
    }
    expect([...failed].sort()).toEqual(['list', 'open', 'read', 'sync']);
    expect(await recovered(storage)).toEqual({ first: 0, next: 40 });
  });
});
