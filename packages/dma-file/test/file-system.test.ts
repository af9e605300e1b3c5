import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import {
  makeDirectory,
  readDirectory,
  removeDirectory,
  rename,
  stat,
  syncDirectory,
  unlink,
} from '@sunstar/dma-file';
import { describe, expect, it } from 'vitest';
import { scratch } from './support.js';

const { path } = scratch();

describe('the file system', () => {
  it('makes, lists, syncs and removes directories', async () => {
    await makeDirectory(path('new'), 0o700);
    expect(statSync(path('new')).mode & 0o777).toBe(0o700);
    await expect(makeDirectory(path('new'))).rejects.toMatchObject({
      code: 'SUNSTAR_EEXIST',
      syscall: 'mkdirat',
    });
    writeFileSync(path('new/b'), '');
    writeFileSync(path('new/a'), '');
    expect((await readDirectory(path('new'))).sort()).toEqual(['a', 'b']);
    await syncDirectory(path('new'));
    await expect(removeDirectory(path('new'))).rejects.toMatchObject({ code: 'SUNSTAR_ENOTEMPTY' });
    await unlink(path('new/a'));
    await unlink(path('new/b'));
    await removeDirectory(path('new'));
    expect(existsSync(path('new'))).toBe(false);
  });

  it('renames over an existing file', async () => {
    writeFileSync(path('from'), 'new');
    writeFileSync(path('to'), 'old');
    await rename(path('from'), path('to'));
    expect(readFileSync(path('to'), 'latin1')).toBe('new');
    expect(existsSync(path('from'))).toBe(false);
  });

  it('tells about a path', async () => {
    mkdirSync(path('directory'));
    writeFileSync(path('file'), '12345');
    expect(await stat(path('directory'))).toMatchObject({ isDirectory: true, isFile: false });
    expect(await stat(path('file'))).toMatchObject({ isFile: true, sizeBytes: 5 });
  });

  it('names the path in errors', async () => {
    const missing = path('missing');
    const actions = [
      unlink(missing),
      removeDirectory(missing),
      stat(missing),
      syncDirectory(missing),
      rename(missing, path('other')),
      readDirectory(missing),
    ];
    for (const result of await Promise.allSettled(actions)) {
      expect(result).toMatchObject({
        reason: { code: 'SUNSTAR_ENOENT', message: expect.stringContaining(missing) as string },
      });
    }
  });

  it('refuses paths that no system call takes', async () => {
    for (const bad of ['', 'a\0b']) {
      const actions = [unlink(bad), rename('x', bad), rename(bad, 'x'), stat(bad), readDirectory(bad)];
      for (const result of await Promise.allSettled(actions)) {
        expect(result).toMatchObject({ reason: { code: 'SUNSTAR_INVALID_PATH' } });
      }
    }
  });
});
