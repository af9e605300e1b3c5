import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statfsSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DmaFile, makeDirectory, SegmentAppender } from '@sunstar/dma-file';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canMountAs, FILE_SYSTEMS, mountImage, scratch, unmount } from './support.js';

scratch();

const MIB = 1 << 20;

// Needs root and loop devices, which a container seldom has.
describe.each(FILE_SYSTEMS)('on a small $name', ({ name: fileSystem, mebibytes }) => {
  const it = test.runIf(canMountAs(fileSystem));
  let directory = '';
  let point = '';

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'sunstar-full-'));
    if (!canMountAs(fileSystem)) return;
    point = mountImage(directory, mebibytes, 'loop', fileSystem);
    // What is left is as small everywhere.
    const { bavail, bsize } = statfsSync(point);
    const spare = bavail * bsize - 20 * MIB;
    if (spare > 0) execFileSync('fallocate', ['-l', String(spare), path('filling')]);
  });
  afterAll(() => {
    if (point !== '') unmount(point, true);
    rmSync(directory, { recursive: true });
  });

  const path = (name: string): string => join(point, name);
  const full: unknown = expect.objectContaining({ code: 'SUNSTAR_ENOSPC' });

  it('allocates smaller steps as the disk fills, refuses appends when it is full, and goes on after', async () => {
    writeFileSync(path('ballast'), Buffer.alloc(8 * MIB));
    const file = await DmaFile.open(path('log'), { flags: 'w+', direct: 'require' });
    const appender = await SegmentAppender.open(file);
    const data = Buffer.alloc(50_000, 'x');
    let refused: unknown = null;
    while (refused === null) {
      while (!appender.hasRoom) await appender.waitForRoom();
      try {
        appender.append(data);
      } catch (error) {
        refused = error;
      }
      await appender.flush();
    }
    expect(refused).toEqual(full);
    expect((refused as Error).message).toContain(path('log'));
    // Refused before a byte was taken: everything accepted is safe, and nothing is broken.
    expect(appender.failure).toBeNull();
    expect(appender.flushed).toBe(appender.appended);
    expect(appender.appended).toBeGreaterThan(4 * MIB);
    expect(appender.stats.allocations).toBeGreaterThan(2);

    unlinkSync(path('ballast'));
    const before = appender.appended;
    for (let attempt = 0; appender.appended === before && attempt < 100; attempt++) {
      try {
        appender.append(data);
      } catch (error) {
        expect(error).toEqual(full);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    expect(await appender.flush()).toBe(before + data.length);
    await appender.close();
    expect(statSync(path('log')).size).toBe(before + data.length);
    expect(readFileSync(path('log')).every((byte) => byte === 120)).toBe(true);
    unlinkSync(path('log'));
  });

  it('reports a write for which there is no room to every waiter, and writes it again on retry()', async () => {
    const errors: string[] = [];
    const file = await DmaFile.open(path('log'), { flags: 'w+', direct: 'require' });
    const appender = await SegmentAppender.open(file, {
      allocationStepBytes: 0,
      onError: (error) => errors.push(error.code),
    });
    writeFileSync(path('ballast'), Buffer.alloc(16 * MIB));
    const data = Buffer.alloc(100_000, 'y');
    const flushes: Promise<number>[] = [];
    while (appender.failure === null) {
      while (appender.hasRoom) {
        appender.append(data);
        flushes.push(appender.flush());
      }
      await Promise.allSettled(flushes);
    }
    const last = flushes[flushes.length - 1];
    await expect(last).rejects.toEqual(full);
    await expect(appender.flush()).rejects.toEqual(full);
    expect(() => appender.append(data)).toThrow(appender.failure);
    expect(errors).toEqual(['SUNSTAR_ENOSPC']);
    const { appended } = appender;
    expect(appender.flushed).toBeLessThan(appended);

    unlinkSync(path('ballast'));
    // ext4 hands freed blocks out only after a commit of its journal.
    for (let attempt = 0; appender.flushed < appended && attempt < 100; attempt++) {
      appender.retry();
      await appender.flush().catch((error: unknown) => expect(error).toEqual(full));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(appender.flushed).toBe(appended);
    await appender.close();
    const content = readFileSync(path('log'));
    expect(content.length).toBe(appended);
    expect(content.every((byte) => byte === 121)).toBe(true);
    unlinkSync(path('log'));
  });

  it('lets DmaFile.write and allocate fail with the reason', async () => {
    await using file = await DmaFile.open(path('large'), { flags: 'w+' });
    await expect(file.allocate(0, 64 * MIB)).rejects.toEqual(full);
    await expect(file.write(0, Buffer.alloc(32 * MIB))).rejects.toEqual(full);
    await file.truncate(0);
  });

  it('says that the file system is read-only', async () => {
    writeFileSync(path('old'), 'old');
    execFileSync('mount', ['-o', 'remount,ro', point]);
    const readOnly: unknown = expect.objectContaining({ code: 'SUNSTAR_EROFS' });
    await expect(DmaFile.open(path('new'), { flags: 'w' })).rejects.toEqual(readOnly);
    await expect(DmaFile.open(path('old'), { flags: 'r+' })).rejects.toEqual(readOnly);
    await expect(makeDirectory(path('directory'))).rejects.toEqual(readOnly);
    await using file = await DmaFile.open(path('old'));
    using content = await file.read(0, 10);
    expect(content.toString()).toBe('old');
  });
});
