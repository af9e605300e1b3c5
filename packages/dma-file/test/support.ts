import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attach, type Shard } from '@sunstar/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';

/** Where the test files of one test file live: removed at its end. */
export interface Scratch {
  /** A path in the scratch directory. */
  readonly path: (name: string) => string;
  readonly shard: Shard;
}

/**
 * A scratch directory on a disk file system, and after every test a check that all memory and descriptors are
 * back. Call it at the top of a test file.
 */
export function scratch(): Scratch {
  const shard = attach({ log: 'silent', memory: '64MiB' });
  let directory = '';
  let descriptors = 0;
  let blocks = 0;
  beforeAll(() => {
    // Node opens some of its own descriptors with the first worker of its thread pool.
    readdirSync('.');
    directory = mkdtempSync(join(process.env.SUNSTAR_TEST_DIRECTORY ?? tmpdir(), 'sunstar-dma-file-'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  beforeEach(() => {
    descriptors = openDescriptors();
    blocks = shard.memory.stats().liveBlocks;
  });
  afterEach(() => {
    expect(shard.memory.stats().liveBlocks, 'blocks of shard memory').toBe(blocks);
    expect(openDescriptors(), 'open descriptors').toBe(descriptors);
    shard.memory.invariants();
  });
  return { path: (name) => join(directory, name), shard };
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Whether this machine lets a test mount an image of a file system. */
export const canMount: boolean = canLoopMount();

function canLoopMount(): boolean {
  if (process.getuid?.() !== 0 || !existsSync('/dev/loop-control')) return false;
  const directory = mkdtempSync(join(tmpdir(), 'sunstar-mount-'));
  try {
    unmount(mountImage(directory, 4));
    return true;
  } catch {
    return false;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** File systems that tests use images of, with the size of a small one in mebibytes. */
export const FILE_SYSTEMS: readonly { readonly name: string; readonly mebibytes: number }[] = [
  { name: 'ext4', mebibytes: 24 },
  // mkfs.xfs makes none that is smaller.
  { name: 'xfs', mebibytes: 300 },
];

/** Whether this machine can make and mount a file system. */
export function canMountAs(name: string): boolean {
  if (!canMount || !readFileSync('/proc/filesystems', 'utf8').includes(`\t${name}\n`)) return false;
  return (process.env.PATH ?? '').split(':').some((path) => existsSync(join(path, `mkfs.${name}`)));
}

/** Makes an image of some mebibytes and mounts it; returns the mount point. */
export function mountImage(
  directory: string,
  mebibytes: number,
  options = 'loop',
  fileSystem = 'ext4',
): string {
  const image = join(directory, 'image');
  const point = join(directory, 'mounted');
  if (!existsSync(image)) {
    writeFileSync(image, '');
    truncateSync(image, mebibytes * 1048576);
    const flags = fileSystem === 'ext4' ? ['-q', '-F', '-m', '0'] : ['-q', '-f'];
    execFileSync(`mkfs.${fileSystem}`, [...flags, image], { stdio: 'pipe' });
    mkdirSync(point);
  }
  execFileSync('mount', ['-t', fileSystem, '-o', options, image, point], { stdio: 'pipe' });
  return point;
}

/** @param force - Also with files open in it, as a test that failed may leave them. */
export function unmount(point: string, force = false): void {
  execFileSync('umount', force ? ['-l', point] : [point], { stdio: 'pipe' });
}
