import { readdirSync, statSync } from 'node:fs';
import { DirectoryStorage, makeDirectory, SegmentAppender, SegmentRecycler } from '@sunstar/dma-file';
import { expect, it } from 'vitest';
import { scratch } from '../support.js';

const { path } = scratch();

it('hands out retired segments again, and removes those that are too many', async () => {
  await makeDirectory(path('log'));
  const storage = new DirectoryStorage(path('log'));
  const recycler = await SegmentRecycler.open(storage, { maxSegments: 1 });
  const write = async (name: string, text: string, sizeBytes: number): Promise<boolean> => {
    const { file, isRecycled } = await recycler.take(name);
    const appender = await SegmentAppender.open(file, { position: 0, recycle: isRecycled });
    appender.append(Buffer.alloc(sizeBytes, text));
    await appender.close();
    recycler.invariants();
    return isRecycled;
  };
  expect(await write('a', 'a', 300_000)).toBe(false);
  expect(await write('b', 'b', 100)).toBe(false);
  const { ino } = statSync(path('log/a'));
  await recycler.retire('a');
  await recycler.retire('b');
  expect(readdirSync(path('log'))).toEqual(['recycled-0']);
  expect(await write('c', 'c', 100_001)).toBe(true);
  expect(statSync(path('log/c'))).toMatchObject({ ino, size: 100_001 });
  await recycler.retire('c');
  // Found again after a restart; what is more than wanted is removed.
  const again = await SegmentRecycler.open(storage);
  expect(again.count).toBe(1);
  expect((await SegmentRecycler.open(storage, { maxSegments: 0 })).count).toBe(0);
  expect(readdirSync(path('log'))).toEqual([]);
});
