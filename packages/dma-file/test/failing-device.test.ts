import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DirectoryStorage, DmaFile, Log, SegmentAppender, syncDirectory } from '@sunstar/dma-file';
import type { SunstarError } from '@sunstar/runtime';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DEVICE_KINDS, type FailingDevice } from './failing-device.js';
import { scratch } from './support.js';

scratch();

const CHUNK_BYTES = 131_072;
/** More than there is on any of the devices by then. */
const MAX_APPENDS = 1000;

// Needs root and loop devices, which a container seldom has; some kinds need more.
describe.each(DEVICE_KINDS)('on $name', (kind) => {
  const it = test.runIf(kind.isAvailable);
  let directory = '';
  let device: FailingDevice | null = null;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sunstar-device-'));
    if (kind.isAvailable) device = kind.make(directory);
  });
  afterEach(() => {
    device?.destroy();
    rmSync(directory, { recursive: true });
  });

  const failing = (): FailingDevice => device as FailingDevice;
  const path = (name: string): string => join(failing().point, name);

  it('a DmaFile gives the error of the kernel to every write', async () => {
    await using file = await DmaFile.open(path('file'), { flags: 'w+', direct: 'require' });
    await file.allocate(0, CHUNK_BYTES);
    await file.fdatasync();
    failing().fail();
    // Its blocks were never written: a thin device has none for them.
    await expect(file.write(0, Buffer.alloc(CHUNK_BYTES, 1))).rejects.toMatchObject({
      code: expect.stringMatching(kind.errors) as unknown,
      syscall: 'write',
      message: expect.stringContaining(path('file')) as unknown,
    });
  });

  it('an appender whose sync fails is poisoned, and has what it called flushed', async () => {
    const errors: string[] = [];
    const appender = await SegmentAppender.open(
      await DmaFile.open(path('log'), { flags: 'w+', direct: 'require' }),
      { onError: (error) => errors.push(error.code), zeroAheadBytes: 0, allocationStepBytes: 0 },
    );
    await syncDirectory(failing().point);
    appender.append(Buffer.alloc(2 * CHUNK_BYTES, 1));
    const flushed = await appender.flush();
    expect(flushed).toBe(2 * CHUNK_BYTES);
    // Written, but not synced: only the sync is left to fail.
    appender.append(Buffer.alloc(CHUNK_BYTES, 2));
    while (appender.stable < appender.appended) await new Promise((resolve) => setImmediate(resolve));
    failing().fail();
    let failure: unknown = null;
    for (let i = 0; failure === null && i < MAX_APPENDS; i++) {
      failure = await appender.flush().then(
        () => null,
        (error: unknown) => error,
      );
      // The journal of a thin device has blocks that were written before.
      if (failure === null) appender.append(Buffer.alloc(CHUNK_BYTES, 2));
    }
    expect(failure).toBe(appender.failure);
    expect(errors).toHaveLength(1);
    const end = appender.flushed;
    expect(end).toBeGreaterThanOrEqual(flushed);
    if (kind.failsWhole) {
      expect(failure).toMatchObject({
        code: 'SUNSTAR_APPENDER_POISONED',
        cause: { code: expect.stringMatching(kind.errors) as unknown, syscall: 'fdatasync' },
      });
      expect(() => appender.retry()).toThrow(failure);
      expect(end).toBe(flushed);
    }
    expect(() => appender.append(Buffer.alloc(1))).toThrow(failure);
    await expect(appender.flush()).rejects.toBe(failure);
    await expect(appender.close()).rejects.toBe(failure);
    failing().heal();
    const content = readFileSync(path('log'));
    expect(content.length).toBeGreaterThanOrEqual(end);
    expect(content.subarray(0, flushed).every((byte) => byte === 1)).toBe(true);
    expect(content.subarray(flushed, end).every((byte) => byte === 2)).toBe(true);
  });

  it('a log stops, and has after recovery what it called durable', async () => {
    const options = { segmentBytes: 300_000, maxRecycled: 1 };
    mkdirSync(path('segments'));
    await syncDirectory(failing().point);
    let log = await Log.open(new DirectoryStorage(path('segments')), options);
    let accepted = 0;
    let durable = 0;
    let failure: unknown = null;
    const add = async (): Promise<void> => {
      try {
        await log.append(Buffer.alloc(20_000, accepted & 0xff));
        accepted++;
        durable = await log.flush();
      } catch (error) {
        failure = error;
      }
    };
    while (accepted < 40) await add();
    expect(failure).toBeNull();
    expect(durable).toBe(40);
    await log.append(Buffer.alloc(20_000, accepted++));
    failing().fail();
    for (let i = 0; failure === null && i < MAX_APPENDS; i++) await add();
    const { code } = failure as SunstarError;
    expect(code === 'SUNSTAR_APPENDER_POISONED' || kind.errors.test(code), code).toBe(true);
    expect(log.durableSequence).toBe(durable);
    await expect(log.close()).rejects.toBeInstanceOf(Error);
    failing().heal();

    log = await Log.open(new DirectoryStorage(path('segments')), options);
    log.invariants();
    expect(log.nextSequence).toBeGreaterThanOrEqual(durable);
    expect(log.nextSequence).toBeLessThanOrEqual(accepted);
    let next = 0;
    for await (const { sequence, payload } of log.read()) {
      expect(sequence).toBe(next);
      expect(payload.equals(Buffer.alloc(20_000, next & 0xff))).toBe(true);
      next++;
    }
    expect(next).toBe(log.nextSequence);
    await log.append(Buffer.from('goes on'));
    expect(await log.flush()).toBe(next + 1);
    await log.close();
  });
});
