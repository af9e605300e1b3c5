import { join } from 'node:path';
import type { AppendTarget } from '../appender/append-target.js';
import { DmaFile } from '../dma-file.js';
import { logLockedError } from '../errors.js';
import { readDirectory, rename, syncDirectory, unlink } from '../file-system.js';

/** A log's hold on its directory. */
export interface StorageLock {
  /** Gives the directory to other logs. */
  close(): Promise<void>;
}

/** Where the segments of a log are; the tests have one that forgets what was not synced. */
export interface SegmentStorage {
  /** Keeps others out until what it gives is closed; SUNSTAR_LOG_LOCKED when somebody else is in. */
  lock(): Promise<StorageLock>;
  /** The names of all files. */
  list(): Promise<string[]>;
  /** Opens a file for reading and writing. @param create - It does not exist yet, or is emptied. */
  open(name: string, create: boolean): Promise<AppendTarget>;
  /** Replaces a file that has the new name; SUNSTAR_ENOENT when there is none to rename. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; SUNSTAR_ENOENT when there is none. */
  remove(name: string): Promise<void>;
  /** Makes names durable that were created, renamed or removed before. */
  sync(): Promise<void>;
}

/** A directory that exists, and holds nothing else. */
export class DirectoryStorage implements SegmentStorage {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Locks the directory against other logs, in this process and others, by a file in it named `lock`. */
  async lock(): Promise<StorageLock> {
    const file = await DmaFile.open(join(this.path, 'lock'), { flags: 'a+' });
    if (file.tryLock()) return file;
    await file.close();
    throw logLockedError(this.path);
  }

  /** The names of all files. */
  list(): Promise<string[]> {
    return readDirectory(this.path);
  }

  /** Opens a file for reading and writing. */
  open(name: string, create: boolean): Promise<AppendTarget> {
    return DmaFile.open(join(this.path, name), { flags: create ? 'w+' : 'r+' });
  }

  /** Replaces a file that has the new name. */
  rename(from: string, to: string): Promise<void> {
    return rename(join(this.path, from), join(this.path, to));
  }

  /** Removes a file; SUNSTAR_ENOENT when there is none. */
  remove(name: string): Promise<void> {
    return unlink(join(this.path, name));
  }

  /** Makes names durable that were created, renamed or removed before. */
  sync(): Promise<void> {
    return syncDirectory(this.path);
  }
}
