import type { ShardContext, WaitOptions } from '@sunstar/runtime';
import { FileLocks, type RangeLockOptions } from './file-locks.js';
import type { FileOperations } from './file-operations.js';
import { FileTarget } from './file-target.js';
import type { OpenedFile } from './open-file.js';

/**
 * An open file with advisory locks: of the whole file, for programs that agree on them by the file, and of ranges. They
 * exclude other open files of the same name, in this process or another, and not other users of this one.
 */
export abstract class LockableFile extends FileTarget {
  /** @hidden */
  protected readonly locks: FileLocks;

  /** @hidden */
  protected constructor(shard: ShardContext, path: string, opened: OpenedFile, operations: FileOperations) {
    super(shard, path, opened, operations);
    this.locks = new FileLocks(opened.fd, path, `${opened.device}:${opened.inode}`);
  }

  /**
   * Takes the exclusive advisory lock of the file (flock), which ends with the descriptor or with {@link unlock};
   * false when another open file has it, in this process or another, or somebody on this shard waits for it.
   */
  tryLock(): boolean {
    return this.locks.tryLock();
  }

  /**
   * Waits for that lock without blocking the shard. Those who wait on this shard get it in order; when another shard
   * or process gives it up, that is seen within 50 ms. Locks exclude other open files, not other users of this one.
   *
   * @throws SunstarError SUNSTAR_TIMEOUT, SUNSTAR_ABORTED, SUNSTAR_TOO_MANY_WAITERS, SUNSTAR_FILE_CLOSED
   */
  lock(options?: WaitOptions): Promise<void> {
    return this.locks.lock(options);
  }

  /** Gives up the lock of the file. */
  unlock(): void {
    this.locks.unlock();
  }

  /**
   * Takes an advisory lock on a range (an open file description lock), which ends with the descriptor; false when
   * another open file has one that excludes it. It says nothing about {@link tryLock}'s.
   *
   * @param length - 0 means everything behind `position`.
   */
  tryLockRange(position: number, length: number, options: RangeLockOptions = {}): boolean {
    return this.locks.tryLockRange(position, length, options);
  }

  /** Waits for that lock, on the terms of {@link lock}. */
  lockRange(position: number, length: number, options: RangeLockOptions & WaitOptions = {}): Promise<void> {
    return this.locks.lockRange(position, length, options);
  }

  /** Gives up what was locked in a range. */
  unlockRange(position: number, length: number): void {
    this.locks.unlockRange(position, length);
  }
}
