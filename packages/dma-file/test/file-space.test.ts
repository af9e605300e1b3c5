import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DmaFile } from '@sunstar/dma-file';
import { describe, expect, it } from 'vitest';
import { scratch } from './support.js';

const { path } = scratch();
const MIB = 1 << 20;

describe('the space of a DmaFile', () => {
  it('is given back, and zeroed, range by range', async () => {
    await using file = await DmaFile.open(path('space'), { flags: 'w+', direct: 'require' });
    await file.write(0, Buffer.alloc(MIB, 'x'));
    await file.fsync();
    const before = (await file.stat()).allocatedBytes;
    await file.deallocate(65536, 131072);
    expect((await file.stat()).allocatedBytes).toBe(before - 131072);
    expect(await file.size()).toBe(MIB);
    await file.zeroRange(524288, 4096);
    await file.zeroRange(MIB, 8192, { keepSize: true });
    expect(await file.size()).toBe(MIB);
    await file.zeroRange(MIB, 8192);
    expect(await file.size()).toBe(MIB + 8192);
    const expected = Buffer.alloc(MIB + 8192, 'x');
    expected.fill(0, 65536, 65536 + 131072);
    expected.fill(0, 524288, 528384);
    expected.fill(0, MIB);
    expect(readFileSync(path('space')).equals(expected)).toBe(true);
    await expect(file.deallocate(0, 0)).rejects.toMatchObject({ code: 'SUNSTAR_EINVAL' });
    // Only xfs takes the hint; elsewhere it says so.
    expect(typeof file.hintExtentSize(MIB)).toBe('boolean');
  });

  it('is copied from another file, up to its end', async () => {
    const content = Buffer.from(Uint8Array.from({ length: 1_500_001 }, (_, i) => Math.imul(i, 40503) >>> 7));
    writeFileSync(path('source'), content);
    await using source = await DmaFile.open(path('source'), { direct: 'require' });
    await using target = await DmaFile.open(path('target'), { flags: 'w+', direct: 'require' });
    expect(await target.copyFrom(source, 4096, 8192, 1 << 21)).toBe(content.length - 4096);
    await target.truncate(8192 + content.length - 4096);
    const copied = readFileSync(path('target'));
    expect(copied.subarray(8192).equals(content.subarray(4096))).toBe(true);
    expect(await target.copyFrom(source, 0, 0, 4096)).toBe(4096);
    expect(await target.copyFrom(source, 1 << 21, 0, 4096)).toBe(0);
    await expect(target.copyFrom(source, 1, 0, 4096)).rejects.toMatchObject({ code: 'SUNSTAR_UNALIGNED' });
    await using readOnly = await DmaFile.open(path('source'), { direct: 'require' });
    await expect(readOnly.copyFrom(source, 0, 0, MIB)).rejects.toMatchObject({ code: 'SUNSTAR_EBADF' });
  });
});

describe('a temporary file', () => {
  it('is gone when it is closed, unless it was given a name', async () => {
    const directory = dirname(path('x'));
    const open = (): Promise<DmaFile> =>
      DmaFile.open(directory, { flags: { read: true, write: true, temporary: true }, direct: 'require' });
    const lost = await open();
    await lost.write(0, Buffer.alloc(4096, 1));
    expect(statSync(directory).isDirectory()).toBe(true);
    await lost.close();
    await using kept = await open();
    await kept.write(0, Buffer.alloc(4096, 2));
    await kept.link(path('kept'));
    expect(readFileSync(path('kept')).equals(Buffer.alloc(4096, 2))).toBe(true);
    await expect(kept.link(path('kept'))).rejects.toMatchObject({ code: 'SUNSTAR_EEXIST' });
    expect(existsSync(path('kept'))).toBe(true);
    await expect(DmaFile.open(directory, { flags: { temporary: true } })).rejects.toMatchObject({
      code: 'SUNSTAR_INVALID_OPTION',
    });
  });
});

describe('advisory locks', () => {
  it('exclude each other by range and kind', async () => {
    await using one = await DmaFile.open(path('locked'), { flags: 'w+' });
    await using two = await DmaFile.open(path('locked'), { flags: 'r+' });
    expect(one.tryLockRange(0, 100)).toBe(true);
    expect(two.tryLockRange(50, 10)).toBe(false);
    expect(two.tryLockRange(100, 10, { shared: true })).toBe(true);
    expect(one.tryLockRange(100, 0, { shared: true })).toBe(true);
    expect(one.tryLockRange(100, 0)).toBe(false);
    one.unlockRange(0, 100);
    expect(two.tryLockRange(50, 10)).toBe(true);
    expect(one.tryLock()).toBe(true);
    expect(two.tryLock()).toBe(false);
  });
});
