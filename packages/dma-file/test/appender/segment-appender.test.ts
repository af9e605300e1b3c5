import { describe, expect, it } from 'vitest';
import { SegmentAppender } from '../../src/appender/segment-appender.js';
import { close, completeAll, kinds, NO_SPACE_AHEAD, open } from './manual-appender.js';
import { EIO, ManualTarget, settle } from './manual-target.js';

describe('SegmentAppender', () => {
  it('begins a flush at the end of the tick, so that everything appended in the tick shares it', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.from('one'));
    const first = appender.flush();
    appender.append(Buffer.from('two'));
    const second = appender.flush();
    expect(appender.flush()).toBe(second);
    expect(kinds(target)).toEqual(['defer']);
    target.complete(0);
    expect(kinds(target)).toEqual(['write']);
    target.complete(0);
    expect(await first).toBe(6);
    expect(await second).toBe(6);
    expect(appender.stats).toMatchObject({ flushes: 3, syncs: 1, writes: 1 });
    await close(target, appender);
    expect(target.content.toString('latin1', 0, target.fileSize)).toBe('onetwo');
  });

  it('syncs what it finds in a file before it calls it flushed: who wrote it may have died before the sync', async () => {
    const target = new ManualTarget();
    target.fileSize = 256;
    const opening = SegmentAppender.open(target, NO_SPACE_AHEAD);
    await settle();
    expect(kinds(target)).toEqual(['sync']);
    await completeAll(target);
    const appender = await opening;
    expect(appender.flushed).toBe(256);
    await close(target, appender);
    const other = new ManualTarget();
    other.fileSize = 256;
    const failing = SegmentAppender.open(other, NO_SPACE_AHEAD);
    await settle();
    other.complete(0, EIO);
    await expect(failing).rejects.toMatchObject({ code: 'SUNSTAR_APPENDER_POISONED' });
    expect(other.isClosed).toBe(true);
    expect(other.memory.real.stats().liveBlocks).toBe(0);
  });

  it('makes a lone extent durable with its own write, and syncs when there were others', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.alloc(10, 1));
    appender.requestFlush();
    target.complete(0);
    expect(target.parked).toMatchObject([{ kind: 'write', isDurable: true }]);
    target.complete(0);
    expect(appender.flushed).toBe(10);
    appender.append(Buffer.alloc(300, 2));
    expect(target.parked).toMatchObject([{ kind: 'write', isDurable: false, length: 256 }]);
    appender.requestFlush();
    target.complete(1);
    expect(target.parked).toMatchObject([
      { kind: 'write', isDurable: false },
      { kind: 'write', isDurable: false },
    ]);
    target.complete(1);
    target.complete(0);
    expect(kinds(target)).toEqual(['sync']);
    expect(appender.flushed).toBe(10);
    target.complete(0);
    expect(appender.flushed).toBe(310);
    await close(target, appender);
  });

  it('resolves a flush of what is flushed already without any operation', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    expect(await appender.flush()).toBe(0);
    appender.requestFlush();
    expect(target.parked).toHaveLength(0);
    expect(appender.append(new Uint8Array(0))).toBe(0);
    await close(target, appender);
  });

  it('pads with zeros although chunks are used again', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.alloc(300, 1));
    void appender.flush();
    await completeAll(target);
    appender.append(Buffer.alloc(212, 2));
    await completeAll(target);
    appender.append(Buffer.alloc(10, 3));
    void appender.flush();
    await completeAll(target);
    expect(target.content.subarray(512, 522).every((byte) => byte === 3)).toBe(true);
    expect(target.content.subarray(522).every((byte) => byte === 0)).toBe(true);
    await close(target, appender);
  });

  it('takes all or nothing when the memory for the moved page is missing', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    // The last page of the only chunk is half full and under DMA: what follows starts with a copy of it.
    appender.append(Buffer.alloc(64 * 3 + 32, 1));
    appender.requestFlush();
    target.complete(0);
    expect(kinds(target)).toEqual(['write']);
    target.memory.allowed = 1;
    expect(() => appender.append(Buffer.alloc(256 - 16, 2))).toThrow(/no block/);
    expect(appender.appended).toBe(224);
    appender.append(Buffer.alloc(256 - 32, 2));
    target.memory.allowed = Number.POSITIVE_INFINITY;
    await completeAll(target);
    await close(target, appender);
    expect(target.fileSize).toBe(448);
  });

  it('takes all or nothing when the page moves inside of its chunk', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.alloc(32, 1));
    appender.requestFlush();
    target.complete(0);
    target.memory.allowed = 0;
    expect(() => appender.append(Buffer.alloc(64 * 3 - 32 + 1, 2))).toThrow(/no block/);
    appender.append(Buffer.alloc(64 * 3 - 32, 2));
    target.memory.allowed = Number.POSITIVE_INFINITY;
    await completeAll(target);
    await close(target, appender);
  });

  it('refuses appends over the limit of buffered bytes and says when there is room', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.alloc(1023));
    expect(appender.hasRoom).toBe(true);
    await appender.waitForRoom();
    appender.append(Buffer.alloc(500));
    expect(appender.hasRoom).toBe(false);
    expect(() => appender.append(Buffer.alloc(1))).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_APPENDER_FULL' }),
    );
    const room = appender.waitForRoom();
    // Nobody asked for a flush: full chunks are written behind all the same.
    await completeAll(target);
    await room;
    expect(appender.hasRoom).toBe(true);
    await close(target, appender);
  });

  it('gives the device no more writes after one has failed, before retry()', async () => {
    const target = new ManualTarget();
    const appender = await open(target, { ...NO_SPACE_AHEAD, maxWritesInFlight: 2 });
    appender.append(Buffer.alloc(1024, 'x'));
    expect(target.writesStarted).toBe(2);
    target.complete(0, EIO);
    target.complete(0);
    await settle();
    expect(target.writesStarted).toBe(2);
    appender.retry();
    expect(target.writesStarted).toBe(4);
    await close(target, appender);
    expect(target.content.toString('latin1', 0, 1024)).toBe('x'.repeat(1024));
  });

  it('is poisoned by a failed sync, for good', async () => {
    const target = new ManualTarget();
    const errors: string[] = [];
    const appender = await open(target, { ...NO_SPACE_AHEAD, onError: (error) => errors.push(error.code) });
    appender.append(Buffer.alloc(300));
    const flush = appender.flush();
    const failed = expect(flush).rejects.toMatchObject({ code: 'SUNSTAR_APPENDER_POISONED' });
    while (kinds(target)[0] !== 'sync') target.complete(0);
    target.complete(0, EIO);
    await failed;
    expect(errors).toEqual(['SUNSTAR_APPENDER_POISONED']);
    expect(appender.failure?.cause).toMatchObject({ code: 'SUNSTAR_EIO', syscall: 'fdatasync' });
    await expect(appender.flush()).rejects.toMatchObject({ code: 'SUNSTAR_APPENDER_POISONED' });
    expect(() => appender.retry()).toThrow(/fdatasync failed/);
    await expect(appender.close()).rejects.toMatchObject({ code: 'SUNSTAR_APPENDER_POISONED' });
    expect(target.isClosed).toBe(true);
    expect(target.memory.real.stats().liveBlocks).toBe(0);
  });

  it('cuts the file at the position before it appends, and starts inside of a page', async () => {
    const target = new ManualTarget();
    target.content.fill('old', 0, 1000);
    target.fileSize = 1000;
    const appender = await open(target, { ...NO_SPACE_AHEAD, position: 100 });
    expect(target.fileSize).toBe(100);
    appender.append(Buffer.from('new'));
    await close(target, appender);
    expect(target.fileSize).toBe(103);
    expect(target.content.toString('latin1', 96, 103)).toBe('oldonew');
  });

  it('refuses a position behind the end of the file, and closes it', async () => {
    const target = new ManualTarget();
    await expect(SegmentAppender.open(target, { position: 1 })).rejects.toMatchObject({
      code: 'SUNSTAR_OUT_OF_RANGE',
    });
    expect(target.isClosed).toBe(true);
  });

  it('refuses a file that is cut before the position while it is opened', async () => {
    const target = new ManualTarget();
    target.fileSize = 1000;
    const opening = SegmentAppender.open(target, { position: 900 });
    const refused = expect(opening).rejects.toMatchObject({ code: 'SUNSTAR_OUT_OF_RANGE' });
    await settle();
    expect(kinds(target)).toEqual(['read']);
    target.fileSize = 899;
    await completeAll(target);
    await refused;
    expect(target.isClosed).toBe(true);
    expect(target.memory.real.stats().liveBlocks).toBe(0);
  });

  it('refuses options that make no sense, and closes the file', async () => {
    for (const options of [
      { chunkBytes: 100 },
      { chunkBytes: 32 },
      { maxBufferedBytes: 1 },
      { maxWritesInFlight: 0 },
      { allocationStepBytes: -1 },
      { diskShares: 0 },
      { zeroAheadBytes: 0.5 },
    ]) {
      const target = new ManualTarget();
      await expect(SegmentAppender.open(target, options)).rejects.toMatchObject({
        code: 'SUNSTAR_INVALID_OPTION',
      });
      expect(target.isClosed).toBe(true);
    }
  });

  it('closes once, and takes nothing afterwards', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.from('x'));
    const closing = appender.close();
    expect(appender.close()).toBe(closing);
    expect(appender[Symbol.asyncDispose]()).toBe(closing);
    const code = 'SUNSTAR_APPENDER_CLOSED';
    expect(() => appender.append(Buffer.from('y'))).toThrow(expect.objectContaining({ code }));
    await expect(appender.flush()).rejects.toMatchObject({ code });
    await expect(appender.waitForRoom()).rejects.toMatchObject({ code });
    await expect(appender.truncate(0)).rejects.toMatchObject({ code });
    await completeAll(target);
    await closing;
    expect(target.fileSize).toBe(1);
  });

  it('refuses appends during a truncate and waits for it in close()', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.alloc(200, 5));
    const truncating = appender.truncate(70);
    const code = 'SUNSTAR_APPENDER_BUSY';
    expect(() => appender.append(Buffer.from('y'))).toThrow(expect.objectContaining({ code }));
    await expect(appender.truncate(0)).rejects.toMatchObject({ code });
    await expect(SegmentAppender.prototype.truncate.call(appender, -1)).rejects.toMatchObject({ code });
    await close(target, appender);
    await truncating;
    expect(target.fileSize).toBe(70);
  });

  it('reports a truncate that fails and stays usable', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.alloc(200, 5));
    const truncating = expect(appender.truncate(70)).rejects.toMatchObject({ code: 'SUNSTAR_EIO' });
    await settle();
    while (kinds(target)[0] !== 'truncate') {
      target.complete(0);
      await settle();
    }
    target.complete(0, EIO);
    await truncating;
    expect(appender.hasRoom).toBe(true);
    appender.append(Buffer.alloc(10, 6));
    await close(target, appender);
    expect(target.fileSize).toBe(210);
  });

  it('flushes by itself when enough bytes wait', async () => {
    const target = new ManualTarget();
    const appender = await open(target, { ...NO_SPACE_AHEAD, flushBytes: 100 });
    appender.append(Buffer.alloc(99));
    expect(kinds(target)).toEqual([]);
    appender.append(Buffer.alloc(1));
    expect(kinds(target)).toEqual(['defer']);
    await completeAll(target);
    expect(appender.flushed).toBe(100);
    appender.append(Buffer.alloc(99));
    expect(kinds(target)).toEqual([]);
    await close(target, appender);
  });

  it('flushes by itself after a time, unless somebody asks before', async () => {
    const target = new ManualTarget();
    const appender = await open(target, { ...NO_SPACE_AHEAD, flushDelayMs: 50 });
    appender.append(Buffer.alloc(10));
    appender.append(Buffer.alloc(10));
    expect(kinds(target)).toEqual(['timer']);
    await completeAll(target);
    expect(appender.flushed).toBe(20);
    appender.append(Buffer.alloc(10));
    expect(kinds(target)).toEqual(['timer']);
    appender.requestFlush();
    expect(kinds(target)).toEqual(['defer']);
    await completeAll(target);
    expect(appender.flushed).toBe(30);
    await close(target, appender);
  });

  it('lets a flush wait for those who usually come, and not longer', async () => {
    const target = new ManualTarget();
    const appender = await open(target, { ...NO_SPACE_AHEAD, commitDelayMs: 10 });
    const ask = (count: number): void => {
      for (let i = 0; i < count; i++) {
        appender.append(Buffer.alloc(1));
        appender.requestFlush();
      }
    };
    const sync = (): void => {
      expect(kinds(target)).toEqual(['defer']);
      target.complete(0);
      expect(kinds(target)).toEqual(['write']);
      target.nowMs += 2;
      target.complete(0);
    };
    ask(8);
    sync();
    // One of eight: a slow device is left alone until more have come.
    ask(1);
    target.complete(0);
    expect(kinds(target)).toEqual(['timer']);
    ask(4);
    expect(kinds(target)).toEqual(['timer']);
    ask(1);
    sync();
    expect(appender.flushed).toBe(14);
    ask(1);
    target.complete(0);
    expect(kinds(target)).toEqual(['timer']);
    target.nowMs += 1;
    target.complete(0);
    sync();
    expect(appender.flushed).toBe(15);
    await close(target, appender);
  });

  it('seals a file, which stays open', async () => {
    const target = new ManualTarget();
    const appender = await open(target);
    appender.append(Buffer.alloc(100, 1));
    const sealing = appender.seal();
    expect(() => appender.append(Buffer.alloc(1))).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_APPENDER_SEALED' }),
    );
    await completeAll(target);
    await sealing;
    expect(appender.flushed).toBe(100);
    expect(target).toMatchObject({ fileSize: 100, isClosed: false });
    await expect(appender.waitForRoom()).rejects.toMatchObject({ code: 'SUNSTAR_APPENDER_SEALED' });
    await close(target, appender);
    expect(target.isClosed).toBe(true);
  });
});
