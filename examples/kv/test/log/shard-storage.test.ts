import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { shardDirectory } from '../../src/log/data-directory.ts';
import {
  planOf,
  randomCommand,
  randomSource,
  shard,
  TestStorage,
  temporaryDirectory,
} from './storage-support.ts';

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => {
  fs.rmSync(directory, { recursive: true });
});

const filesIn = (plan: ReturnType<typeof planOf>, id = 0): string[] =>
  fs.readdirSync(shardDirectory(plan.path, plan.epoch, id)).sort();

describe('ShardStorage', () => {
  it('brings back what was there, over restarts and compactions', async () => {
    const plan = planOf(directory);
    const random = randomSource(1);
    let expected: Record<string, string> = {};
    let serial = 0;
    for (let run = 0; run < 6; run++) {
      const kv = await TestStorage.open(plan);
      expect(kv.content()).toEqual(expected);
      expect(kv.storage.recovery).toMatchObject({ isClean: true, droppedBytes: 0 });
      for (let i = 0; i < 150; i++) {
        randomCommand(kv, random, serial++);
        if (i % 10 === 0) await nextTurn();
        if (i === 75 && run % 2 === 1) await kv.storage.compact();
      }
      expected = kv.content();
      kv.store.invariants();
      await kv.discard();
    }
    const kv = await TestStorage.open(plan);
    expect(kv.content()).toEqual(expected);
    await kv.discard();
  });

  it('compacts to the live data while writes go on', async () => {
    const plan = planOf(directory);
    const kv = await TestStorage.open(plan);
    const random = randomSource(2);
    for (let i = 0; i < 3000; i++) {
      kv.set(`key-${i % 100}`, `${i}`.padEnd(500));
      if (i % 50 === 0) await nextTurn();
    }
    await kv.storage.log.flush();
    expect(kv.storage.sizeBytes).toBeGreaterThan(kv.storage.liveBytes * 20);
    const compaction = kv.storage.compact();
    expect(kv.storage.compaction.isRunning).toBe(true);
    for (let i = 0; i < 200; i++) {
      randomCommand(kv, random, i);
      await nextTurn();
    }
    await compaction;
    expect(kv.storage.compaction).toMatchObject({ isRunning: false, count: 1, failures: 0 });
    expect(filesIn(plan)).toEqual(['base-2', 'log-2']);
    const expected = kv.content();
    await kv.discard();
    const again = await TestStorage.open(plan);
    expect(again.content()).toEqual(expected);
    await again.discard();
  });

  it('compacts by itself when the log is twice as large as the data', async () => {
    const plan = planOf(directory);
    const kv = await TestStorage.open(plan, { compactionMinBytes: 100_000, fsync: 'no' });
    for (let i = 0; i < 400; i++) kv.set('key', `${i}`.padEnd(1000));
    await expect.poll(() => kv.storage.compaction.count, { timeout: 10_000 }).toBe(1);
    expect(kv.storage.sizeBytes).toBeLessThan(10_000);
    await kv.discard();
  });

  it('does not gather files from restarts without writes', async () => {
    const plan = planOf(directory);
    for (let run = 0; run < 3; run++) await (await TestStorage.open(plan)).discard();
    expect(filesIn(plan)).toEqual(['log-1']);
  });

  it('waits for the device with always: nothing is durable before a flush', async () => {
    const plan = planOf(directory);
    const kv = await TestStorage.open(plan);
    const reached: number[] = [];
    const position = kv.set('a', '1');
    kv.storage.log.awaitDurable({
      durable: (at) => {
        reached.push(at);
        return at < position;
      },
      durabilityFailed: () => reached.push(-1),
    });
    expect(kv.storage.log.durable).toBe(0);
    await kv.storage.log.flush();
    expect(reached.at(-1)).toBe(position);
    await kv.discard();
  });

  it('slows writers down when the device does not keep up, and wakes them', async () => {
    const plan = planOf(directory);
    const kv = await TestStorage.open(plan, { fsync: 'no' });
    const value = 'v'.repeat(500_000);
    let waits = 0;
    for (let i = 0; i < 200; i++) {
      kv.set(`key-${i % 8}`, value);
      if (!kv.storage.log.isBehind) continue;
      waits++;
      await new Promise<void>((resolve) => kv.storage.log.awaitRoom({ logHasRoom: resolve }));
    }
    expect(waits).toBeGreaterThan(0);
    const expected = kv.content();
    await kv.discard();
    const again = await TestStorage.open(plan);
    expect(again.content()).toEqual(expected);
    await again.discard();
  });

  it('drops keys whose time came while the server was down', async () => {
    const plan = planOf(directory);
    const kv = await TestStorage.open(plan);
    kv.set('a', 'old');
    kv.set('b', 'old');
    kv.set('a', 'new', Date.now() + 30);
    kv.set('c', 'stays', Date.now() + 60_000);
    kv.expire('b', Date.now() + 30);
    await kv.discard();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const again = await TestStorage.open(plan);
    expect(Object.keys(again.content())).toEqual(['c']);
    await again.discard();
  });

  it('gives all memory back', async () => {
    const plan = planOf(directory);
    await (await TestStorage.open(plan)).discard();
    const before = shard.memory.stats().usedBytes;
    for (let run = 0; run < 3; run++) {
      const kv = await TestStorage.open(plan);
      for (let i = 0; i < 100; i++) kv.set(`key-${i}`, 'x'.repeat(1000 * (i % 3)));
      await kv.storage.compact();
      await kv.discard();
    }
    // An empty table keeps its first segment of 16 KiB.
    expect(shard.memory.stats().usedBytes - before).toBeLessThan(3 * 20_000);
  });
});

describe('after a crash', () => {
  it('comes back at every moment of a compaction, with all that was durable', async () => {
    const plan = planOf(directory);
    const kv = await TestStorage.open(plan);
    const random = randomSource(3);
    const history = new Map([[0, kv.content()]]);
    const snapshots: { copy: string; durable: number; committed: number }[] = [];
    let serial = 0;
    const step = (): void => {
      const position = randomCommand(kv, random, serial++);
      if (position > 0) history.set(position, kv.content());
    };
    for (let i = 0; i < 60; i++) step();
    await kv.storage.log.flush();

    /** Copies for each combination of files; one combination lasts for many turns. */
    const taken = new Map<string, number>();
    for (let round = 0; round < 2; round++) {
      let isDone = false;
      const compaction = kv.storage.compact().finally(() => {
        isDone = true;
      });
      while (!isDone) {
        const { durable, committed } = kv.storage.log;
        const names = filesIn(plan).join();
        const count = taken.get(names) ?? 0;
        taken.set(names, count + 1);
        if (count < 2) {
          const copy = path.join(directory, `copy-${snapshots.length}`);
          fs.mkdirSync(copy);
          // Space that is allocated ahead stays a hole.
          execFileSync('cp', ['-r', '--sparse=always', path.join(directory, 'epoch-1'), copy]);
          snapshots.push({ copy, durable, committed });
        }
        if (random(3) === 0) step();
        await nextTurn();
      }
      await compaction;
    }
    await kv.discard();

    for (const { copy, durable, committed } of snapshots) {
      const copied = planOf(copy);
      const again = await TestStorage.open(copied);
      const allowed = [...history].filter(([position]) => position >= durable && position <= committed);
      expect(allowed.map(([, content]) => content)).toContainEqual(again.content());
      // What was cut off stays away, and the log goes on.
      again.set('after', 'crash');
      await again.storage.log.flush();
      const expected = again.content();
      await again.discard();
      const third = await TestStorage.open(copied);
      expect(third.content()).toEqual(expected);
      await third.discard();
      fs.rmSync(copy, { recursive: true });
    }
    // Before, while and after: the next segment, the base, each with and without its final name.
    expect(taken.size).toBeGreaterThanOrEqual(8);
    expect(snapshots.length).toBeGreaterThan(12);
  });

  it('cuts off a torn end and says how much that was', async () => {
    const plan = planOf(directory);
    const kv = await TestStorage.open(plan);
    for (let i = 0; i < 50; i++) kv.set(`key-${i}`, 'x'.repeat(100));
    await kv.storage.log.flush();
    const expected = kv.content();
    const log = path.join(shardDirectory(directory, 1, 0), 'log-1');
    const size = kv.storage.log.sizeBytes;
    const crashed = planOf(path.join(directory, 'crashed'));
    const target = path.join(shardDirectory(crashed.path, 1, 0), 'log-1');
    fs.writeFileSync(target, Buffer.concat([fs.readFileSync(log).subarray(0, size), Buffer.from('garbage')]));
    await kv.discard();
    const again = await TestStorage.open(crashed);
    expect(again.storage.recovery).toMatchObject({
      records: 50,
      droppedBytes: 7,
      isClean: false,
      nextNumber: 2,
    });
    expect(again.content()).toEqual(expected);
    await again.discard();
    const third = await TestStorage.open(crashed);
    expect(third.storage.recovery).toMatchObject({ records: 50, droppedBytes: 0, isClean: true });
    await third.discard();
  });

  it('refuses a file that was whole once and is damaged, and repairs it when told to', async () => {
    const plan = planOf(directory);
    const kv = await TestStorage.open(plan);
    for (let i = 0; i < 50; i++) kv.set(`key-${i}`, 'x'.repeat(100));
    await kv.discard();
    const second = await TestStorage.open(plan);
    second.set('later', '1');
    await second.discard();
    const log = path.join(shardDirectory(directory, 1, 0), 'log-1');
    const content = fs.readFileSync(log);
    content[2000] ^= 4;
    fs.writeFileSync(log, content);
    await expect(TestStorage.open(plan)).rejects.toMatchObject({ code: 'SUNSTAR_KV_LOG_DAMAGED' });
    expect(fs.readFileSync(log)).toEqual(content);
    const repaired = await TestStorage.open(plan, { repair: true });
    expect(Object.keys(repaired.content()).length).toBe(15);
    expect(filesIn(plan)).toEqual(['log-1', 'log-1.damaged', 'log-2', 'log-2.damaged']);
    await repaired.discard();
    const again = await TestStorage.open(plan);
    expect(again.storage.recovery.isClean).toBe(true);
    await again.discard();
  });

  it('refuses a sequence with a gap', async () => {
    const plan = planOf(directory);
    for (let run = 0; run < 3; run++) {
      const kv = await TestStorage.open(plan);
      kv.set(`run-${run}`, '1');
      await kv.discard();
    }
    fs.rmSync(path.join(shardDirectory(directory, 1, 0), 'log-2'));
    await expect(TestStorage.open(plan)).rejects.toMatchObject({ code: 'SUNSTAR_KV_LOG_INCOMPLETE' });
    const repaired = await TestStorage.open(plan, { repair: true });
    expect(Object.keys(repaired.content())).toEqual(['run-0']);
    await repaired.discard();
  });
});
