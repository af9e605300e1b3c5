import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canMount, canMountAs, mountImage, unmount } from './support.js';

/** A file system on a device that fails when it is told to, with errors of the kernel itself. */
export interface FailingDevice {
  /** Where it is mounted. */
  readonly point: string;
  /** From now on writes fail, or all operations. */
  fail(): void;
  /** The device works again, and the file system is mounted again as after a crash; no file is open. */
  heal(): void;
  destroy(): void;
}

/** A way to make one. */
export interface DeviceKind {
  readonly name: string;
  readonly isAvailable: boolean;
  /** What a write and a sync fail with; of a device that fails in parts, only some of them do. */
  readonly errors: RegExp;
  readonly failsWhole: boolean;
  /** @param directory - An empty one, for images and mount points. */
  make(directory: string): FailingDevice;
}

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    .toString()
    .trim();
}

function has(command: string): boolean {
  return (process.env.PATH ?? '').split(':').some((path) => existsSync(join(path, command)));
}

/** EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN, the same number, without a last commit of the journal. */
const SHUT_DOWN = `
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))
`;

/** A file system that gives up: every operation on it is an EIO, and what its journal had not committed is gone. */
function shutDown(fileSystem: string, mebibytes: number): DeviceKind {
  return {
    name: `${fileSystem} that was shut down`,
    isAvailable: canMountAs(fileSystem) && has('python3'),
    errors: /^SUNSTAR_EIO$/,
    failsWhole: true,
    make(directory) {
      const point = mountImage(directory, mebibytes, 'loop', fileSystem);
      return {
        point,
        fail: () => run('python3', '-c', SHUT_DOWN, point),
        heal: () => {
          unmount(point);
          mountImage(directory, mebibytes, 'loop', fileSystem);
        },
        destroy: () => unmount(point, true),
      };
    },
  };
}

/** A device that has promised more blocks than it has: writes of blocks that were never written fail. */
const THIN: DeviceKind = {
  name: 'a thin device that is full',
  isAvailable: canMountAs('ext4'),
  // Which one depends on how the loop driver writes; an aborted journal makes the file system read-only.
  errors: /^SUNSTAR_(EIO|ENOSPC|EROFS)$/,
  failsWhole: false,
  make(directory) {
    run('mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', directory);
    const point = mountImage(directory, 48);
    const limit = (size: string): string => run('mount', '-o', `remount,size=${size}`, directory);
    return {
      point,
      fail: () => {
        run('sync', '-f', point);
        const { blocks, bfree, bsize } = statfsSync(directory);
        limit(String((blocks - bfree) * bsize));
      },
      heal: () => {
        unmount(point);
        limit('64m');
        mountImage(directory, 48);
      },
      destroy: () => {
        unmount(point, true);
        unmount(directory, true);
      },
    };
  },
};

/** A device whose table is replaced by one of errors while the file system is in use. */
const DEVICE_MAPPER: DeviceKind = {
  name: 'a device-mapper error target',
  isAvailable: canMount && existsSync('/dev/mapper/control') && has('dmsetup'),
  errors: /^SUNSTAR_(EIO|EROFS)$/,
  failsWhole: true,
  make(directory) {
    const image = join(directory, 'image');
    const point = join(directory, 'mounted');
    const name = `sunstar-test-${process.pid}`;
    writeFileSync(image, '');
    truncateSync(image, 24 << 20);
    mkdirSync(point);
    const loop = run('losetup', '--find', '--show', image);
    const sectors = run('blockdev', '--getsz', loop);
    const linear = `0 ${sectors} linear ${loop} 0`;
    run('dmsetup', 'create', name, '--table', linear);
    run('dmsetup', 'mknodes', name);
    const mount = (): string => run('mount', '-t', 'ext4', `/dev/mapper/${name}`, point);
    const replace = (table: string): void => {
      run('dmsetup', 'suspend', '--noflush', '--nolockfs', name);
      run('dmsetup', 'load', name, '--table', table);
      run('dmsetup', 'resume', name);
    };
    run('mkfs.ext4', '-q', '-F', '-m', '0', `/dev/mapper/${name}`);
    mount();
    return {
      point,
      fail: () => replace(`0 ${sectors} error`),
      heal: () => {
        unmount(point);
        replace(linear);
        mount();
      },
      destroy: () => {
        unmount(point);
        run('dmsetup', 'remove', name);
        run('losetup', '--detach', loop);
      },
    };
  },
};

/** All ways; those that this machine does not have are reported as skipped. */
export const DEVICE_KINDS: readonly DeviceKind[] = [
  shutDown('ext4', 24),
  shutDown('xfs', 300),
  THIN,
  DEVICE_MAPPER,
];
