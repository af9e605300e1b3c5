import { native } from '@sunstar/native';
import { ERRNO, inThisGroup, systemError, type WaitOptions } from '@sunstar/runtime';
import { checkOffset, fileClosedError } from './errors.js';
import { LockQueue, type LockRequest } from './lock-queue.js';

/** How a range is locked. */
export interface RangeLockOptions {
  /** Others may have shared ones, too; needs a file that is open for reading, an exclusive one for writing. */
  readonly shared?: boolean;
}

/** Kinds of open file description locks, as native code has them. */
const SHARED = 0;
const EXCLUSIVE = 1;
const NONE = 2;

/** The lock of a whole file (flock), which knows nothing of those of ranges. */
class WholeFile implements LockRequest {
  readonly #locks: FileLocks;

  constructor(locks: FileLocks) {
    this.#locks = locks;
  }

  excludes(other: LockRequest): boolean {
    return other instanceof WholeFile && other.#locks !== this.#locks;
  }

  take(): boolean {
    return this.#locks.takeFile();
  }
}

class Range implements LockRequest {
  readonly #locks: FileLocks;
  readonly #type: 0 | 1;
  readonly #position: number;
  readonly #length: number;

  constructor(locks: FileLocks, type: 0 | 1, position: number, length: number) {
    this.#locks = locks;
    this.#type = type;
    this.#position = position;
    this.#length = length;
  }

  get #end(): number {
    return this.#length === 0 ? Number.POSITIVE_INFINITY : this.#position + this.#length;
  }

  excludes(other: LockRequest): boolean {
    if (!(other instanceof Range) || other.#locks === this.#locks) return false;
    if (this.#type === SHARED && other.#type === SHARED) return false;
    return this.#position < other.#end && other.#position < this.#end;
  }

  take(): boolean {
    return this.#locks.setRange(this.#type, this.#position, this.#length);
  }
}

/** The advisory locks that one open file has or waits for. They end with the descriptor. */
export class FileLocks {
  readonly #fd: number;
  readonly #path: string;
  /** The file, whichever descriptor. */
  readonly #key: string;
  #isClosed = false;

  constructor(fd: number, path: string, key: string) {
    this.#fd = fd;
    this.#path = path;
    this.#key = key;
  }

  tryLock(): boolean {
    return LockQueue.tryTake(this.#key, new WholeFile(this));
  }

  lock(options: WaitOptions | undefined): Promise<void> {
    return inThisGroup(LockQueue.take(this.#key, new WholeFile(this), options));
  }

  unlock(): void {
    this.#checkOpen();
    const result = native.unlock(this.#fd);
    if (result < 0) throw systemError('flock', result, this.#path);
    LockQueue.released(this.#key);
  }

  tryLockRange(position: number, length: number, options: RangeLockOptions): boolean {
    return LockQueue.tryTake(this.#key, this.#range(position, length, options));
  }

  async lockRange(position: number, length: number, options: RangeLockOptions & WaitOptions): Promise<void> {
    const range = this.#range(position, length, options);
    await inThisGroup(LockQueue.take(this.#key, range, options));
  }

  unlockRange(position: number, length: number): void {
    checkOffset('The position', position);
    checkOffset('The length', length);
    this.setRange(NONE, position, length);
    LockQueue.released(this.#key);
  }

  /** Ends the waits for locks of this file. The locks that it has end when the descriptor is closed. */
  close(): void {
    this.#isClosed = true;
    LockQueue.released(this.#key);
  }

  /** The descriptor is closed, and its locks are gone. */
  closed(): void {
    LockQueue.released(this.#key);
  }

  /** Asks the kernel for the lock of the whole file. */
  takeFile(): boolean {
    this.#checkOpen();
    const result = native.tryLock(this.#fd);
    if (result === 0) return true;
    if (result === -ERRNO.EAGAIN) return false;
    throw systemError('flock', result, this.#path);
  }

  /** Asks the kernel for the lock of a range, or gives it up. */
  setRange(type: 0 | 1 | 2, position: number, length: number): boolean {
    this.#checkOpen();
    const result = native.lockRange(this.#fd, type, position, length);
    if (result === 0) return true;
    if (result === -ERRNO.EAGAIN || result === -ERRNO.EACCES) return false;
    throw systemError('fcntl', result, this.#path);
  }

  #range(position: number, length: number, options: RangeLockOptions): Range {
    checkOffset('The position', position);
    checkOffset('The length', length);
    return new Range(this, options.shared === true ? SHARED : EXCLUSIVE, position, length);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw fileClosedError(this.#path);
  }
}
