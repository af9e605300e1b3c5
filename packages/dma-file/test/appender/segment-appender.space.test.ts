import { describe, expect, it } from 'vitest';
import { SegmentAppender } from '../../src/appender/segment-appender.js';
import { close, closeOnly, completeAll, kinds, NO_SPACE_AHEAD, open } from './manual-appender.js';
import { ENOSPC, ManualTarget, settle } from './manual-target.js';

describe('SegmentAppender and the space on the disk', () => {
  it('goes on after a full disk when retry() finds room', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.alloc(300, 7));
    const flush = expect(appender.flush()).rejects.toMatchObject({ code: 'SUNSTAR_ENOSPC' });
    target.complete(0, ENOSPC);
    await flush;
    expect(appender.hasRoom).toBe(false);
    await expect(appender.waitForRoom()).rejects.toMatchObject({ code: 'SUNSTAR_ENOSPC' });
    await completeAll(target);
    expect(appender.flushed).toBe(0);
    appender.retry();
    expect(appender.hasRoom).toBe(true);
    await completeAll(target);
    expect(appender.flushed).toBe(300);
    await close(target, appender);
    expect(target.fileSize).toBe(300);
  });

  it('refuses appends that the disk is known to have no room for, and takes them when it has', async () => {
    const target = new ManualTarget();
    const opening = SegmentAppender.open(target, { ...NO_SPACE_AHEAD, allocationStepBytes: 1024 });
    await settle();
    // 1024, 512 and 256 bytes are tried: only the smallest fits.
    expect(target.complete(0, ENOSPC).length).toBe(1024);
    expect(target.complete(0, ENOSPC).length).toBe(512);
    expect(target.complete(0).length).toBe(256);
    await settle();
    const appender = await opening;
    expect(kinds(target)).toEqual([]);
    appender.append(Buffer.alloc(200));
    expect(kinds(target)).toEqual(['allocate']);
    while (target.parked.length > 0) {
      expect(target.parked[0].position).toBe(256);
      target.complete(0, ENOSPC);
    }
    expect(() => appender.append(Buffer.alloc(100))).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_ENOSPC' }),
    );
    expect(appender.failure).toBeNull();
    appender.append(Buffer.alloc(50));
    target.nowMs += 1000;
    expect(() => appender.append(Buffer.alloc(100))).toThrow(/no space/);
    await completeAll(target);
    appender.append(Buffer.alloc(100));
    await completeAll(target);
    await close(target, appender);
    expect(target.fileSize).toBe(350);
  });

  it('allocates smaller steps as the disk fills', async () => {
    const target = new ManualTarget();
    target.freeBytes = 4000;
    const opening = SegmentAppender.open(target, {
      ...NO_SPACE_AHEAD,
      allocationStepBytes: 8192,
      diskShares: 2,
    });
    await settle();
    expect(target.complete(0).length).toBe(768);
    await settle();
    await close(target, await opening);
  });

  it('writes zeros ahead only while flushes are small', async () => {
    const target = new ManualTarget();
    const options = { ...NO_SPACE_AHEAD, allocationStepBytes: 4096, zeroAheadBytes: 1024 };
    const appender = await open(target, { ...options, zeroAheadMaxFlushBytes: 20 });
    appender.append(Buffer.alloc(10));
    void appender.flush();
    await completeAll(target);
    expect(appender.stats.zeroedBytes).toBe(192);
    appender.append(Buffer.alloc(400));
    void appender.flush();
    await completeAll(target);
    expect(appender.stats.zeroedBytes).toBe(192);
    await close(target, appender);
  });

  it('allocates no further than the segment is expected to grow', async () => {
    const target = new ManualTarget();
    const options = { ...NO_SPACE_AHEAD, allocationStepBytes: 1024, segmentBytes: 1500 };
    const appender = await open(target, options);
    expect(target.fileSize).toBe(1024);
    appender.append(Buffer.alloc(600));
    await completeAll(target);
    expect(target.fileSize).toBe(1536);
    appender.append(Buffer.alloc(900));
    await completeAll(target);
    expect(target.fileSize).toBe(1536);
    appender.append(Buffer.alloc(100));
    await completeAll(target);
    expect(target.fileSize).toBe(2560);
    await close(target, appender);
  });

  it('shares its chunks with the other appenders of the shard, and its part of the disk', async () => {
    const one = new ManualTarget();
    const two = new ManualTarget(one.memory);
    two.freeBytes = 4096;
    const first = await open(one);
    const second = await open(two, { ...NO_SPACE_AHEAD, allocationStepBytes: 4096 });
    // A quarter of 4096: half of one of two shares.
    expect(two.fileSize).toBe(1024);
    first.append(Buffer.alloc(256));
    await completeAll(one);
    first.append(Buffer.alloc(1));
    const blocks = one.memory.real.stats().liveBlocks;
    second.append(Buffer.alloc(100));
    expect(one.memory.real.stats().liveBlocks).toBe(blocks);
    await closeOnly(one, first);
    await close(two, second);
  });

  it('can be sealed again when a full disk was in the way', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.alloc(100, 1));
    const sealing = appender.seal();
    await settle();
    target.complete(0);
    target.complete(0, ENOSPC);
    await expect(sealing).rejects.toMatchObject({ code: 'SUNSTAR_ENOSPC' });
    appender.retry();
    appender.append(Buffer.alloc(10, 2));
    const again = appender.seal();
    await completeAll(target);
    await again;
    expect(target.fileSize).toBe(110);
    await close(target, appender);
  });
});
