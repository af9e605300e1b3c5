// What several scheduling groups share: everybody continues in their own group, whoever's operation it was.
import { setImmediate as turnOfNode } from 'node:timers/promises';
import { IOBuf } from '@sunstar/iobuf';
import { currentGroup, currentGroupId, type SchedulingGroup } from '@sunstar/runtime';
import { expect, test } from 'vitest';
import { DmaFile, FlushDispatcher, ObjectCache, SegmentAppender } from '../src/index.js';
import { scratch } from './support.js';

const { path, shard } = scratch();
const KIB = 1024;
const GROUPS: readonly SchedulingGroup[] = [
  shard.groups.default,
  shard.groups.create({ name: 'first', shares: 300 }),
  shard.groups.create({ name: 'second', shares: 50 }),
];

/** Does the same in all groups at once, several times each; says where somebody continued in another group. */
async function inAllGroups(
  work: (check: (where: string) => void, round: number) => Promise<void>,
): Promise<void> {
  const wrong = new Set<string>();
  let checks = 0;
  await Promise.all(
    GROUPS.flatMap((group) =>
      Array.from({ length: 8 }, (_, round) =>
        group.run(() =>
          work((where) => {
            checks++;
            if (currentGroupId() !== group.id) wrong.add(`${where}: ${group.name} in ${currentGroup().name}`);
          }, round),
        ),
      ),
    ),
  );
  expect([...wrong]).toEqual([]);
  expect(checks).toBeGreaterThanOrEqual(GROUPS.length * 8);
}

test('flushes of an appender, and waits for its room', async () => {
  const file = await DmaFile.open(path('log'), { flags: 'w+' });
  const appender = await SegmentAppender.open(file);
  const data = Buffer.alloc(100, 1);
  await inAllGroups(async (check, round) => {
    for (let i = 0; i < 5; i++) {
      appender.append(data);
      await appender.flush();
      check('flushed');
      await appender.write(Buffer.alloc(64 * KIB * (round % 2), 2));
      check('written');
      if (!appender.hasRoom) await appender.waitForRoom();
      check('has room');
    }
  });
  await Promise.all(
    GROUPS.map((group) =>
      group.run(async () => {
        await appender.close();
        expect(currentGroupId()).toBe(group.id);
      }),
    ),
  );
});

test('writes and flushes of a dispatcher', async () => {
  const file = await DmaFile.open(path('dispatched'), { flags: 'w+' });
  const dispatcher = new FlushDispatcher<number, number>(
    {
      write: (position) => file.write(position * 4 * KIB, Buffer.alloc(4 * KIB, 1)),
      flush: () => file.fdatasync(),
    },
    file,
  );
  let next = 0;
  await inAllGroups(async (check) => {
    for (let i = 0; i < 3; i++) {
      await dispatcher.write(next++);
      check('written');
      await dispatcher.flush();
      check('flushed');
    }
  });
  await dispatcher.close();
  await file.close();
});

test('objects that several load at the same time', async () => {
  const file = await DmaFile.open(path('objects'), { flags: 'w+' });
  await file.write(0, Buffer.alloc(256 * KIB, 3));
  const cache = new ObjectCache({ limit: 1024 * KIB });
  await inAllGroups(async (check, round) => {
    using content = await cache.read(file, round * 8 * KIB, 4 * KIB);
    check(`read ${content.sizeBytes}`);
    await cache
      .load(file, 128 * KIB + round, KIB, async () => {
        await turnOfNode();
        throw new Error('why');
      })
      .catch(() => {});
    check('not loaded');
  });
  await cache.close();
  await file.close();
});

test('pages of a batch that others wrote', async () => {
  const file = await DmaFile.open(path('pages'), { flags: 'w+' });
  const content = new IOBuf(shard.memory);
  content.append(Buffer.alloc(64 * KIB, 4));
  const batch = file.writeScattered(0, content);
  await inAllGroups(async (check, round) => {
    await batch.page(round);
    check('page');
  });
  await batch.done;
  content[Symbol.dispose]();
  await file.close();
});

test('reads and writes that a signal ends, whoever aborts it', async () => {
  const file = await DmaFile.open(path('aborted'), { flags: 'w+', depth: 1 });
  await file.write(0, Buffer.alloc(512 * KIB, 5));
  await inAllGroups(async (check) => {
    const controller = new AbortController();
    const { signal } = controller;
    const memory = shard.memory.allocateAligned(4 * KIB, 4096);
    const waits = [
      file.readInto(0, memory, 4 * KIB, { signal }),
      file.read(0, 400 * KIB, { signal }),
      file.write(0, Buffer.alloc(400 * KIB), { signal }),
    ].map(async (wait) => {
      try {
        const result = await wait;
        if (typeof result === 'object') result[Symbol.dispose]();
      } catch {
        // Most of them are aborted.
      }
      check('ended');
    });
    // Node runs this in the default group.
    setImmediate(() => controller.abort());
    await Promise.all(waits);
    check('all');
    shard.memory.free(memory);
  });
  await file.close();
});
