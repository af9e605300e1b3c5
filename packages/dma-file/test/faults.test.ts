import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DirectoryStorage, DmaFile, Log, SegmentAppender, StreamReader } from '@sunstar/dma-file';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canMount, mountImage, scratch, unmount } from './support.js';

const { path } = scratch();
const MIB = 1 << 20;

describe('a file that another program cuts', () => {
  it('is read as far as it goes', async () => {
    writeFileSync(path('cut'), Buffer.alloc(MIB, 'x'));
    await using file = await DmaFile.open(path('cut'), { direct: 'require' });
    const reader = new StreamReader(file, { bufferBytes: 65536, maxReadAhead: 2 });
    using first = await reader.readExactly(100);
    truncateSync(path('cut'), 300_001);
    let rest = first.sizeBytes;
    for await (const piece of reader) {
      // What was read ahead before may still be there; nothing else ever is.
      expect(piece.toBuffer().every((byte) => byte === 120)).toBe(true);
      rest += piece.sizeBytes;
      piece[Symbol.dispose]();
    }
    expect(rest).toBeLessThanOrEqual(300_001 + 3 * 65536);
    using content = await file.read(200_000, MIB);
    expect(content.sizeBytes).toBe(100_001);
    using behind = await file.read(500_000, 10);
    expect(behind.sizeBytes).toBe(0);
  });

  it('is written on by an appender, which says nothing wrong about its own bytes', async () => {
    const appender = await SegmentAppender.open(await DmaFile.open(path('log'), { flags: 'w+' }));
    appender.append(Buffer.alloc(200_000, 1));
    await appender.flush();
    truncateSync(path('log'), 100_000);
    const from = appender.append(Buffer.alloc(50_000, 2)) - 50_000;
    await appender.flush();
    await appender.close();
    expect(statSync(path('log')).size).toBe(250_000);
    expect(readFileSync(path('log')).subarray(from).equals(Buffer.alloc(50_000, 2))).toBe(true);
  });

  it('is found to be damaged by a log', async () => {
    mkdirSync(path('segments'));
    const log = await Log.open(new DirectoryStorage(path('segments')));
    await log.append(Buffer.alloc(100_000, 1));
    await log.append(Buffer.alloc(100_000, 2));
    await log.flush();
    truncateSync(join(path('segments'), '0000000000000000.log'), 150_000);
    const lengths: number[] = [];
    const readAll = async (): Promise<void> => {
      for await (const { payload } of log.read()) lengths.push(payload.length);
    };
    await expect(readAll()).rejects.toMatchObject({ code: 'SUNSTAR_LOG_CORRUPT' });
    expect(lengths).toEqual([100_000]);
    await log.close();
  });
});

describe('a process without descriptors', () => {
  it('says so, keeps what it has open, and goes on when some are closed', async () => {
    mkdirSync(path('many'));
    const script = fileURLToPath(new URL('./open-many.mjs', import.meta.url));
    // Node needs many to load its modules.
    const command = `ulimit -n 400 && exec "${process.execPath}" "${script}" "${path('many')}"`;
    const { stdout } = await promisify(execFile)('sh', ['-c', command]);
    expect(stdout.trim().split('\n')).toEqual([
      'SUNSTAR_EMFILE',
      'SUNSTAR_EMFILE',
      'SUNSTAR_EMFILE',
      '10 bytes',
      'ok',
      '4096',
    ]);
  });
});

// Needs root and loop devices, which a container seldom has.
describe.runIf(canMount)('a file system that fails', () => {
  let directory = '';
  let point = '';

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sunstar-faults-'));
    point = mountImage(directory, 24);
  });
  afterEach(() => {
    unmount(point, true);
    rmSync(directory, { recursive: true });
  });

  /** What ext4 does when it finds itself damaged: it becomes read-only, with files open for writing. */
  const abort = (): void => {
    execFileSync('mount', ['-o', 'remount,abort', point]);
  };

  it('stops an appender, which never again says that anything is durable', async () => {
    const errors: string[] = [];
    const file = await DmaFile.open(join(point, 'log'), { flags: 'w+', direct: 'require' });
    const appender = await SegmentAppender.open(file, { onError: (error) => errors.push(error.code) });
    appender.append(Buffer.alloc(10_000, 1));
    const flushed = await appender.flush();
    abort();
    appender.append(Buffer.alloc(10_000, 2));
    const waiting = [appender.flush(), appender.flush()];
    for (const flush of waiting) await expect(flush).rejects.toBeInstanceOf(Error);
    expect(errors).toHaveLength(1);
    expect(appender.failure?.code).toMatch(/^SUNSTAR_(EROFS|EIO|ESHUTDOWN|APPENDER_POISONED)$/);
    expect(appender.flushed).toBe(flushed);
    await expect(appender.flush()).rejects.toBe(appender.failure);
    await expect(appender.close()).rejects.toBe(appender.failure);
  });

  it('gives the reason to every other call', async () => {
    writeFileSync(join(point, 'old'), Buffer.alloc(8192, 'o'));
    execFileSync('sync', ['-f', join(point, 'old')]);
    await using file = await DmaFile.open(join(point, 'old'), { flags: 'r+', direct: 'require' });
    abort();
    const refused = { code: expect.stringMatching(/^SUNSTAR_(EROFS|EIO|ESHUTDOWN)$/) as unknown };
    await expect(file.allocate(0, MIB)).rejects.toMatchObject(refused);
    await expect(file.truncate(100)).rejects.toMatchObject(refused);
    await expect(file.write(8192, Buffer.alloc(4096))).rejects.toMatchObject(refused);
    await expect(DmaFile.open(join(point, 'new'), { flags: 'w' })).rejects.toMatchObject(refused);
    // What is there can still be read.
    using content = await file.read(0, 10);
    expect(content.toString()).toBe('o'.repeat(10));
  });
});
