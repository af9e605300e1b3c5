import {
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { DmaFile, SegmentAppender } from '@sunstar/dma-file';
import { IOBuf } from '@sunstar/iobuf';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { scratch } from './support.js';

const { path, shard } = scratch();

function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => Math.imul(i + 1, 2654435761) >>> 19));
}

async function bytesOf(content: Promise<IOBuf>): Promise<Buffer> {
  using buffer = await content;
  return buffer.toBuffer();
}

const error = (code: string): unknown => expect.objectContaining({ code });

describe('DmaFile', () => {
  it('writes what node:fs reads, and reads what node:fs wrote', async () => {
    const data = pattern(1_000_448);
    await using file = await DmaFile.open(path('round-trip'), { flags: 'w+', direct: 'require' });
    expect(file.isDirect).toBe(true);
    expect(file.offsetAlignmentBytes).toBeGreaterThan(1);
    using buffer = IOBuf.from(data);
    expect(await file.write(0, buffer)).toBe(data.length);
    expect(await file.write(data.length, data)).toBe(data.length);
    await file.fdatasync();
    expect(readFileSync(path('round-trip')).equals(Buffer.concat([data, data]))).toBe(true);
    expect(await file.size()).toBe(2 * data.length);

    writeFileSync(path('foreign'), data.subarray(0, 777_777));
    await using foreign = await DmaFile.open(path('foreign'));
    expect((await bytesOf(foreign.read(0, 10_000_000))).equals(data.subarray(0, 777_777))).toBe(true);
  });

  it('reads any range like node:fs, also around the end of the file', async () => {
    const size = 300_001;
    const data = pattern(size);
    writeFileSync(path('ranges'), data);
    await using file = await DmaFile.open(path('ranges'), { direct: 'require' });
    shard.memory.trimCaches();
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.nat(size + 10_000), fc.integer({ min: size - 600, max: size + 600 })),
        fc.oneof(fc.nat(2000), fc.nat(300_000)),
        async (position, length) => {
          const content = await bytesOf(file.read(position, length));
          expect(content.equals(data.subarray(position, position + length))).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('reads and writes aligned arena memory directly', async () => {
    const { memory } = shard;
    const at = memory.allocateAligned(8192, 4096);
    await using file = await DmaFile.open(path('aligned'), { flags: 'w+', direct: 'require' });
    memory.bytes.fill(1, at, at + 4096);
    memory.bytes.fill(2, at + 4096, at + 8192);
    expect(await file.writeAligned(4096, at, 8192)).toBe(8192);
    memory.bytes.fill(0, at, at + 8192);
    expect(await file.readInto(8192, at, 8192)).toBe(4096);
    expect(memory.bytes.subarray(at, at + 4096).every((byte) => byte === 2)).toBe(true);
    await expect(file.readInto(1, at, 4096)).rejects.toEqual(error('SUNSTAR_UNALIGNED'));
    await expect(file.readInto(0, at + 1, 4096)).rejects.toEqual(error('SUNSTAR_UNALIGNED'));
    await expect(file.writeAligned(0, at, 100)).rejects.toEqual(error('SUNSTAR_UNALIGNED'));
    await expect(file.writeAligned(0, memory.arena.sizeBytes, 4096)).rejects.toEqual(
      error('SUNSTAR_OUT_OF_RANGE'),
    );
    memory.free(at);
  });

  it('reads and writes several pieces of memory in one operation', async () => {
    const { memory, reactor } = shard;
    const at = memory.allocateAligned(32_768, 4096);
    const data = pattern(20_480);
    memory.bytes.set(data, at);
    await using file = await DmaFile.open(path('vectored'), { flags: 'w+', direct: 'require' });
    // Not in the order of their addresses, and of different sizes.
    const pieces = [
      { memoryOffset: at + 12_288, length: 8192 },
      { memoryOffset: at, length: 4096 },
      { memoryOffset: at + 4096, length: 8192 },
    ];
    const { submitted } = reactor.stats;
    expect(await file.writev(4096, pieces)).toBe(20_480);
    // One for all pieces; the reactor may have asked for an event of libuv's meanwhile.
    expect(reactor.stats.submitted - submitted).toBeLessThan(pieces.length);
    const expected = Buffer.concat([
      Buffer.alloc(4096),
      ...pieces.map(({ memoryOffset, length }) =>
        data.subarray(memoryOffset - at, memoryOffset - at + length),
      ),
    ]);
    expect(readFileSync(path('vectored')).equals(expected)).toBe(true);

    memory.bytes.fill(0xee, at, at + 32_768);
    expect(await file.readv(4096, pieces)).toBe(20_480);
    expect(memory.bytes.subarray(at, at + 20_480).equals(data)).toBe(true);
    // At the end of the file it comes up short.
    const { signal } = new AbortController();
    expect(await file.readv(16_384, pieces, { signal })).toBe(8192);
    expect(await file.readv(65_536, pieces)).toBe(0);
    expect(await file.writev(0, [])).toBe(0);

    const piece = { memoryOffset: at, length: 4096 };
    await expect(file.readv(100, [piece])).rejects.toThrow(error('SUNSTAR_UNALIGNED'));
    await expect(file.writev(0, [piece, { ...piece, length: 100 }])).rejects.toThrow(
      error('SUNSTAR_UNALIGNED'),
    );
    await expect(file.writev(0, [{ ...piece, memoryOffset: at + 1 }])).rejects.toThrow(
      error('SUNSTAR_UNALIGNED'),
    );
    await expect(file.readv(0, [{ ...piece, memoryOffset: 2 ** 40 }])).rejects.toThrow(
      error('SUNSTAR_OUT_OF_RANGE'),
    );
    const many = Array.from({ length: 1025 }, () => piece);
    await expect(file.readv(0, many)).rejects.toThrow(error('SUNSTAR_OUT_OF_RANGE'));
    memory.free(at);
  });

  it('writes and appends memory outside of the arena', async () => {
    const bytes = pattern(8192);
    const file = await DmaFile.open(path('outside'), { flags: 'w+' });
    using data = new IOBuf().wrap(bytes);
    await file.write(0, data);
    const appender = await SegmentAppender.open(file);
    appender.append(data);
    await appender.close();
    expect(readFileSync(path('outside')).equals(Buffer.concat([bytes, bytes]))).toBe(true);
  });

  it('refuses writes that are not aligned, and arguments out of range', async () => {
    await using file = await DmaFile.open(path('unaligned'), { flags: 'w+' });
    await expect(file.write(1, Buffer.alloc(4096))).rejects.toThrow(/position \(1\) is not a multiple of/);
    await expect(file.write(0, Buffer.alloc(100))).rejects.toEqual(error('SUNSTAR_UNALIGNED'));
    await expect(file.write(-512, Buffer.alloc(512))).rejects.toEqual(error('SUNSTAR_OUT_OF_RANGE'));
    await expect(file.read(-1, 10)).rejects.toEqual(error('SUNSTAR_OUT_OF_RANGE'));
    await expect(file.read(0, Number.NaN)).rejects.toEqual(error('SUNSTAR_OUT_OF_RANGE'));
    await expect(file.truncate(1.5)).rejects.toEqual(error('SUNSTAR_OUT_OF_RANGE'));
    await expect(file.allocate(0, -1)).rejects.toEqual(error('SUNSTAR_OUT_OF_RANGE'));
    await expect(file.allocate(0, 0)).rejects.toEqual(error('SUNSTAR_EINVAL'));
    expect(await file.write(0, Buffer.alloc(0))).toBe(0);
    expect(await file.size()).toBe(0);
  });

  it('allocates with and without the size, truncates, syncs and tells about the file', async () => {
    await using file = await DmaFile.open(path('space'), { flags: 'wx+', mode: 0o600 });
    await file.allocate(0, 1 << 20, { keepSize: true });
    expect(await file.size()).toBe(0);
    await file.allocate(0, 2 << 20);
    expect(await file.size()).toBe(2 << 20);
    await file.truncate(12_345);
    await file.fsync();
    const stat = await file.stat();
    const expected = statSync(path('space'));
    expect(stat).toMatchObject({
      sizeBytes: 12_345,
      allocatedBytes: expected.blocks * 512,
      mode: expected.mode,
      inode: expected.ino,
      linkCount: 1,
      userId: expected.uid,
      groupId: expected.gid,
      blockBytes: expected.blksize,
      isFile: true,
      isDirectory: false,
    });
    expect(expected.mode & 0o777).toBe(0o600);
    expect(stat.modifiedMs).toBeCloseTo(expected.mtimeMs, 0);
    expect(stat.createdMs).toBeCloseTo(expected.birthtimeMs, 0);
    expect(file.freeDiskBytes()).toBeGreaterThan(0);
  });

  it('opens as told', async () => {
    const name = path('modes');
    await expect(DmaFile.open(name)).rejects.toThrow(/openat '.*modes' failed: no such file/);
    await (await DmaFile.open(name, { flags: 'a' })).close();
    expect(existsSync(name)).toBe(true);
    await expect(DmaFile.open(name, { flags: 'wx' })).rejects.toEqual(error('SUNSTAR_EEXIST'));
    writeFileSync(name, pattern(600));
    await (await DmaFile.open(name, { flags: 'a+' })).close();
    expect(statSync(name).size).toBe(600);
    await using truncated = await DmaFile.open(name, { flags: { write: true, truncate: true } });
    expect(statSync(name).size).toBe(0);
    await expect(truncated.read(0, 512)).rejects.toEqual(error('SUNSTAR_EBADF'));
    await using reader = await DmaFile.open(name, { flags: 'r' });
    await expect(reader.write(0, Buffer.alloc(512))).rejects.toEqual(error('SUNSTAR_EBADF'));
    expect((await reader.read(0, 512)).isDisposed).toBe(false);
    await expect(DmaFile.open(path('missing/file'), { flags: 'w' })).rejects.toEqual(error('SUNSTAR_ENOENT'));
    await expect(DmaFile.open(name, { flags: 'rw' as 'r' })).rejects.toEqual(error('SUNSTAR_INVALID_OPTION'));
    for (const flags of [{ exclusive: true }, { read: true, create: true }, { truncate: true }]) {
      await expect(DmaFile.open(name, { flags })).rejects.toEqual(error('SUNSTAR_INVALID_OPTION'));
    }
    for (const options of [{ depth: 0 }, { maxQueued: -1 }, { mode: 0o10000 }, { direct: 'no' as 'never' }]) {
      await expect(DmaFile.open(name, options)).rejects.toEqual(error('SUNSTAR_INVALID_OPTION'));
    }
    for (const bad of ['', 'a\0b', 'x'.repeat(5000)]) {
      await expect(DmaFile.open(bad)).rejects.toEqual(error('SUNSTAR_INVALID_PATH'));
    }
    await expect(DmaFile.open(`/${'x'.repeat(4000)}`)).rejects.toEqual(error('SUNSTAR_ENAMETOOLONG'));
  });

  it('opens paths that are not ASCII', async () => {
    await (await DmaFile.open(path('größe-日本'), { flags: 'w' })).close();
    expect(existsSync(path('größe-日本'))).toBe(true);
  });

  it.runIf(process.getuid?.() !== 0)('says that a directory is not writable', async () => {
    mkdirSync(path('read-only'));
    chmodSync(path('read-only'), 0o555);
    await expect(DmaFile.open(path('read-only/x'), { flags: 'w' })).rejects.toEqual(error('SUNSTAR_EACCES'));
  });

  it('waits for operations in flight when it is closed, and refuses later ones', async () => {
    const file = await DmaFile.open(path('closing'), { flags: 'w+', depth: 2 });
    const data = pattern(65536);
    const writes = Array.from({ length: 20 }, (_, i) => file.write(i * data.length, data));
    const sync = file.fdatasync();
    expect(file.stats.inFlight).toBe(2);
    file.invariants();
    const closing = file.close();
    expect(file.close()).toBe(closing);
    expect(file.isClosed).toBe(true);
    for (const late of [
      file.read(0, 512),
      file.write(0, data),
      file.fdatasync(),
      file.size(),
      file.truncate(0),
    ]) {
      await expect(late).rejects.toEqual(error('SUNSTAR_FILE_CLOSED'));
    }
    expect(() => file.tryLock()).toThrow(/is closed/);
    const results = await Promise.allSettled(writes);
    await Promise.allSettled([sync]);
    await closing;
    const written = results.filter((result) => result.status === 'fulfilled').length;
    expect(written).toBe(20);
    expect(
      readFileSync(path('closing'))
        .subarray(19 * data.length)
        .equals(data),
    ).toBe(true);
  });

  it('refuses more operations than may wait', async () => {
    await using file = await DmaFile.open(path('busy'), { flags: 'w+', depth: 1, maxQueued: 2 });
    const sizes = Array.from({ length: 5 }, () => file.size());
    const results = await Promise.allSettled(sizes);
    expect(results.map((result) => result.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
    ]);
    await expect(sizes[4]).rejects.toEqual(error('SUNSTAR_FILE_BUSY'));
    expect(await file.size()).toBe(0);
  });

  it('locks', async () => {
    await using first = await DmaFile.open(path('lock'), { flags: 'w+' });
    const second = await DmaFile.open(path('lock'), { flags: 'r+' });
    expect(first.tryLock()).toBe(true);
    expect(second.tryLock()).toBe(false);
    await first.close();
    expect(second.tryLock()).toBe(true);
    await second.close();
  });

  it('reads exactly, or says how much there is', async () => {
    await using file = await DmaFile.open(path('exactly'), { flags: 'w+' });
    await file.write(0, pattern(8192));
    await file.truncate(5000);
    using content = await file.readExactly(3, 4997);
    expect(content.toBuffer().equals(pattern(8192).subarray(3, 5000))).toBe(true);
    await expect(file.readExactly(3, 4998)).rejects.toMatchObject({
      code: 'SUNSTAR_END_OF_FILE',
      message: expect.stringContaining('4997') as unknown,
    });
  });

  it('opens with O_SYNC and O_NOATIME', async () => {
    const flags = { read: true, write: true, create: true, sync: true, noAccessTime: true };
    await using file = await DmaFile.open(path('sync'), { flags });
    const info = readFileSync(`/proc/self/fdinfo/${file.fd}`, 'latin1');
    const bits = Number.parseInt(/flags:\s*(\d+)/.exec(info)?.[1] ?? '0', 8);
    expect(bits & constants.O_SYNC).toBe(constants.O_SYNC);
    expect(bits & constants.O_NOATIME).toBe(constants.O_NOATIME);
  });

  it('writes durably with O_DSYNC', async () => {
    const flags = { read: true, write: true, create: true, dataSync: true, noFollow: true };
    await using file = await DmaFile.open(path('dsync'), { flags });
    await file.write(0, pattern(4096));
    const info = readFileSync(`/proc/self/fdinfo/${file.fd}`, 'latin1');
    const bits = Number.parseInt(/flags:\s*(\d+)/.exec(info)?.[1] ?? '0', 8);
    expect(bits & constants.O_DSYNC).toBe(constants.O_DSYNC);
    expect(bits & constants.O_DIRECT).toBe(constants.O_DIRECT);
  });
});

describe('DmaFile where there is no O_DIRECT', () => {
  const inMemory = `/dev/shm/sunstar-dma-file-${process.pid}`;
  const test = it.runIf(existsSync('/dev/shm'));
  // The kernel makes the file before it refuses O_DIRECT.
  afterEach(() => rmSync(inMemory, { force: true }));

  test('falls back to the page cache on tmpfs and keeps asking for alignment', async () => {
    await using file = await DmaFile.open(inMemory, { flags: 'wx+' });
    expect(file.isDirect).toBe(false);
    const data = pattern(8192);
    await file.write(0, data);
    await file.fdatasync();
    await expect(file.write(0, Buffer.alloc(100))).rejects.toEqual(error('SUNSTAR_UNALIGNED'));
    expect((await bytesOf(file.read(5, 10_000))).equals(data.subarray(5))).toBe(true);
    expect(readFileSync(inMemory).equals(data)).toBe(true);
    const { unlink } = await import('@sunstar/dma-file');
    await unlink(inMemory);
  });

  test('fails when direct I/O is required', async () => {
    await expect(DmaFile.open(inMemory, { flags: 'w', direct: 'require' })).rejects.toEqual(
      error('SUNSTAR_DIRECT_IO_UNSUPPORTED'),
    );
  });

  test('takes any alignment when direct I/O is not wanted', async () => {
    await using file = await DmaFile.open(path('buffered'), { flags: 'w+', direct: 'never' });
    expect(file.isDirect).toBe(false);
    await file.write(3, Buffer.from('hello'));
    using buffer = new IOBuf();
    buffer.append('a').append('b');
    await file.write(8, buffer);
    expect((await bytesOf(file.read(4, 100))).toString()).toBe('elloab');
    expect(await file.size()).toBe(10);
  });
});
