import { spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DmaFile, SegmentAppender } from '@sunstar/dma-file';
import { IOBuf } from '@sunstar/iobuf';
import { describe, expect, it } from 'vitest';
import { scratch } from '../support.js';

const { path, shard } = scratch();

/** A record of any size: its number and length, then a filling that follows from the number. */
function record(number: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes, number & 0xff);
  bytes.writeUInt32LE(number, 0);
  bytes.writeUInt32LE(sizeBytes, 4);
  return bytes;
}

/** How many whole records a file begins with, and where they end. */
function recover(content: Buffer): { records: number; end: number } {
  let records = 0;
  let end = 0;
  while (end + 8 <= content.length) {
    const size = content.readUInt32LE(end + 4);
    if (size < 8 || end + size > content.length) break;
    if (!content.subarray(end, end + size).equals(record(records, size))) break;
    records++;
    end += size;
  }
  return { records, end };
}

const sizes = [8, 100, 4096, 511, 70_000, 13, 300_000, 4088];

describe('SegmentAppender on a real file', () => {
  it.each([
    ['with everything ahead', {}],
    ['with nothing ahead', { allocationStepBytes: 0, zeroAheadBytes: 0 }],
    ['with small chunks', { chunkBytes: 4096, maxBufferedBytes: 16384, maxWritesInFlight: 4 }],
  ])('appends records of all sizes from many writers, %s', async (_name, options) => {
    const file = await DmaFile.open(path('log'), { flags: 'w+', direct: 'require' });
    let reported = 0;
    const appender = await SegmentAppender.open(file, {
      ...options,
      onFlushed: (offset) => {
        expect(offset).toBeGreaterThan(reported);
        reported = offset;
      },
    });
    let number = 0;
    const writer = async (): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        while (!appender.hasRoom) await appender.waitForRoom();
        const bytes = record(number, sizes[number % sizes.length]);
        number++;
        let end: number;
        if (i % 2 === 0) end = appender.append(bytes);
        else {
          using buffer = IOBuf.from(bytes);
          end = appender.append(buffer);
        }
        const flushed = await appender.flush();
        expect(flushed).toBeGreaterThanOrEqual(end);
      }
    };
    await Promise.all(Array.from({ length: 8 }, writer));
    appender.invariants();
    const { stats, appended } = appender;
    expect(stats.syncs).toBeLessThan(stats.flushes);
    expect(reported).toBe(appended);
    await appender.close();
    const content = readFileSync(path('log'));
    expect(recover(content)).toEqual({ records: 320, end: content.length });
    expect(content.length).toBe(appended);
  });

  it('goes on at the end of an existing log, or at the position that recovery found', async () => {
    const open = (): Promise<DmaFile> => DmaFile.open(path('continued'), { flags: 'a+' });
    let appender = await SegmentAppender.open(await open());
    for (let i = 0; i < 10; i++) appender.append(record(i, 1000));
    await appender.close();
    appender = await SegmentAppender.open(await open());
    expect(appender.appended).toBe(10_000);
    for (let i = 10; i < 20; i++) appender.append(record(i, 1000));
    await appender.close();
    expect(recover(readFileSync(path('continued')))).toEqual({ records: 20, end: 20_000 });
    appender = await SegmentAppender.open(await open(), { position: 5000 });
    appender.append(record(5, 50));
    await appender.flush();
    await appender.truncate(5000);
    appender.append(record(5, 60));
    await appender.close();
    expect(recover(readFileSync(path('continued')))).toEqual({ records: 6, end: 5060 });
    expect(statSync(path('continued')).size).toBe(5060);
  });

  it('appends from arena memory, and gives the space that it allocated ahead back', async () => {
    const block = shard.memory.allocate(1000);
    record(0, 1000).copy(shard.memory.bytes, block);
    const file = await DmaFile.open(path('space'), { flags: 'w+' });
    await using appender = await SegmentAppender.open(file);
    expect(appender.appendRange(block, 1000)).toBe(1000);
    shard.memory.free(block);
    await appender.flush();
    expect(statSync(path('space')).blocks * 512).toBeGreaterThan(1 << 20);
    await appender.close();
    expect(statSync(path('space')).blocks * 512).toBeLessThanOrEqual(8192);
    expect(recover(readFileSync(path('space')))).toEqual({ records: 1, end: 1000 });
  });

  it('fails as it should when the file is closed underneath', async () => {
    const file = await DmaFile.open(path('closed'), { flags: 'w+' });
    const appender = await SegmentAppender.open(file);
    appender.append(record(0, 100));
    await file.close();
    await expect(appender.flush()).rejects.toMatchObject({ code: 'SUNSTAR_EBADF' });
    await expect(appender.close()).rejects.toMatchObject({ code: 'SUNSTAR_EBADF' });
  });

  it('has what it reported as flushed after kill -9', async () => {
    const script = fileURLToPath(new URL('./append-forever.mjs', import.meta.url));
    for (let round = 0; round < 4; round++) {
      const log = path(`killed-${round}`);
      const child = spawn(process.execPath, [script, log], { stdio: ['ignore', 'pipe', 'inherit'] });
      let reported = -1;
      const lines = createInterface({ input: child.stdout });
      const exited = new Promise((resolve) => child.once('close', resolve));
      for await (const line of lines) {
        reported = Number(line);
        // Some more rounds each time, so that the kill hits another moment.
        if (reported > 10 * (round * round * 4 + 1)) child.kill('SIGKILL');
      }
      await exited;
      const content = readFileSync(log);
      const { records, end } = recover(content);
      expect(records).toBeGreaterThanOrEqual(reported);
      expect(reported).toBeGreaterThan(0);
      expect(content.length).toBeGreaterThan(end);
      // Recovery and a new appender: the log goes on behind the last whole record.
      const appender = await SegmentAppender.open(await DmaFile.open(log, { flags: 'r+' }), {
        position: end,
      });
      appender.append(record(records, 500));
      await appender.close();
      const after = readFileSync(log);
      expect(recover(after)).toEqual({ records: records + 1, end: after.length });
    }
  });
});
