import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commitEpoch, DataDirectory, readCurrent, shardDirectory } from '../../src/log/data-directory.ts';
import { temporaryDirectory } from './storage-support.ts';

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

function planFor(shards: number): DataDirectory['plan'] {
  const opened = DataDirectory.open(directory, shards);
  opened.close();
  return opened.plan;
}

describe('DataDirectory', () => {
  it('begins with epoch 1, and stays there as long as the number of shards is the same', () => {
    expect(planFor(2)).toEqual({ path: directory, epoch: 1, shards: 2, previous: undefined });
    expect(planFor(2)).toEqual({ path: directory, epoch: 1, shards: 2, previous: undefined });
    expect(fs.existsSync(shardDirectory(directory, 1, 1))).toBe(true);
  });

  it('makes the directories above it too', () => {
    const deep = path.join(directory, 'a', 'b');
    DataDirectory.open(deep, 1).close();
    expect(readCurrent(deep)).toEqual({ epoch: 1, shards: 1 });
  });

  it('goes to the next epoch for another number of shards, when that is committed', () => {
    planFor(2);
    const witness = path.join(shardDirectory(directory, 1, 0), 'log-1');
    fs.writeFileSync(witness, 'data');
    const plan = planFor(3);
    expect(plan).toEqual({ path: directory, epoch: 2, shards: 3, previous: { epoch: 1, shards: 2 } });
    // Not committed: what was prepared is gone, what counts is not.
    fs.writeFileSync(path.join(shardDirectory(directory, 2, 2), 'base-1'), 'half');
    expect(planFor(2).epoch).toBe(1);
    expect(fs.existsSync(shardDirectory(directory, 2, 2))).toBe(false);
    expect(fs.existsSync(witness)).toBe(true);

    commitEpoch(planFor(3));
    expect(readCurrent(directory)).toEqual({ epoch: 2, shards: 3 });
    expect(fs.readdirSync(directory).sort()).toEqual(['CURRENT', 'LOCK', 'epoch-2']);
  });

  it('is whole at every step of a commit', () => {
    planFor(1);
    const plan = planFor(2);
    // As a crash leaves it before the renaming, and before the old epoch is removed.
    fs.writeFileSync(path.join(directory, 'CURRENT.tmp'), 'sunstar-kv 1\nepoch 2\n');
    expect(readCurrent(directory)).toEqual({ epoch: 1, shards: 1 });
    planFor(2);
    commitEpoch(plan);
    fs.mkdirSync(path.join(directory, 'epoch-1', 'shard-0'), { recursive: true });
    expect(planFor(2)).toMatchObject({ epoch: 2, previous: undefined });
    expect(fs.existsSync(path.join(directory, 'epoch-1'))).toBe(false);
  });

  it('is locked while it is open', () => {
    const first = DataDirectory.open(directory, 1);
    expect(() => DataDirectory.open(directory, 1)).toThrow(
      expect.objectContaining({
        code: 'SUNSTAR_KV_DIRECTORY_IN_USE',
        message: expect.stringContaining(`pid ${process.pid}`),
      }),
    );
    first.close();
    DataDirectory.open(directory, 1).close();
  });

  it('refuses what it has not written itself', () => {
    planFor(1);
    const current = path.join(directory, 'CURRENT');
    const text = fs.readFileSync(current, 'latin1');
    for (const foreign of ['', 'hello', text.replace('shards 1', 'shards 2'), `${text}more`]) {
      fs.writeFileSync(current, foreign);
      expect(() => planFor(1)).toThrow(expect.objectContaining({ code: 'SUNSTAR_KV_DIRECTORY_FOREIGN' }));
    }
    fs.writeFileSync(path.join(shardDirectory(directory, 1, 0), 'log-1'), 'data');
    fs.rmSync(current);
    expect(() => planFor(1)).toThrow(/holds data, but CURRENT is missing/);
    // Nothing was touched, and the lock is free.
    expect(fs.existsSync(path.join(shardDirectory(directory, 1, 0), 'log-1'))).toBe(true);
    fs.writeFileSync(current, text);
    expect(planFor(1).epoch).toBe(1);
  });
});
