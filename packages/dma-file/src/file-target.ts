import { native } from '@sunstar/native';
import {
  type Completion,
  IORING_FSYNC_DATASYNC,
  IORING_OP,
  type Reactor,
  type ShardContext,
  type ShardMemory,
} from '@sunstar/runtime';
import type { AppendTarget, OneShotTimer } from './appender/append-target.js';
import type { FileOperations } from './file-operations.js';
import type { OpenedFile } from './open-file.js';
import { RingTimer } from './ring-timer.js';
import { truncateByRing } from './truncate.js';

/** RWF_DSYNC in `rw_flags`. */
const RWF_DSYNC = 2;
/** What the appender writes in: a block of the file system, whatever the device would take. */
const PAGE_BYTES = 4096;

/**
 * An open file by callbacks, without checks and without a promise for each operation: what the appender is built on,
 * and what is there for programs that make many thousands of operations a second.
 *
 * Positions, lengths and memory are aligned, and the memory stays the operation's until it completes, with the bytes
 * moved or a negative error number. Refused are operations with −EBADF after close, with −EBUSY when too many wait.
 */
export abstract class FileTarget implements AppendTarget {
  readonly path: string;
  /** The descriptor; it stays this object's. */
  readonly fd: number;
  /** Whether the page cache is passed by. */
  readonly isDirect: boolean;
  /** What buffers must be aligned to, in the `…Aligned` calls. */
  readonly memoryAlignmentBytes: number;
  /** What positions and sizes of writes, and everything in the `…Aligned` calls, are multiples of. */
  readonly offsetAlignmentBytes: number;
  readonly pageBytes: number;
  /** Names the device that the file is on. */
  readonly device: string;
  readonly memory: ShardMemory;
  /** How many shards share the disk. */
  readonly shardCount: number;
  readonly #reactor: Reactor;
  readonly #operations: FileOperations;

  /** @hidden */
  protected constructor(shard: ShardContext, path: string, opened: OpenedFile, operations: FileOperations) {
    this.path = path;
    this.fd = opened.fd;
    this.isDirect = opened.isDirect;
    this.memoryAlignmentBytes = opened.memoryAlignmentBytes;
    this.offsetAlignmentBytes = opened.offsetAlignmentBytes;
    this.pageBytes = Math.max(PAGE_BYTES, opened.memoryAlignmentBytes, opened.offsetAlignmentBytes);
    this.device = String(opened.device);
    this.memory = shard.memory;
    this.shardCount = shard.count;
    this.#reactor = shard.reactor;
    this.#operations = operations;
  }

  abstract size(): Promise<number>;
  abstract close(): Promise<void>;

  /** A monotonic clock. */
  get nowMs(): number {
    return performance.now();
  }

  /** What an unprivileged program may still allocate on the file system, or −errno. */
  freeDiskBytes(): number {
    return native.freeDiskBytes(this.fd);
  }

  /** Reads; fewer bytes than `length` only at the end of the file. */
  submitRead(completion: Completion, position: number, memoryOffset: number, length: number): void {
    this.#operations.transfer(completion, IORING_OP.READ, position, memoryOffset, length);
  }

  /** Writes all of `length`. */
  submitWrite(completion: Completion, position: number, memoryOffset: number, length: number): void {
    this.#operations.transfer(completion, IORING_OP.WRITE, position, memoryOffset, length);
  }

  /** A write that survives a power cut once it completes; it says nothing about other writes. */
  submitDurableWrite(completion: Completion, position: number, memoryOffset: number, length: number): void {
    this.#operations.transfer(completion, IORING_OP.WRITE, position, memoryOffset, length, RWF_DSYNC);
  }

  /** fdatasync: makes durable what completed before. */
  submitSync(completion: Completion): void {
    this.#operations.submit(completion, IORING_OP.FSYNC, 0, 0, 0, IORING_FSYNC_DATASYNC);
  }

  /** Reserves disk space; the size grows. */
  submitAllocate(completion: Completion, position: number, length: number): void {
    this.#operations.submit(completion, IORING_OP.FALLOCATE, length, 0, position);
  }

  /** Cuts the file, or extends it with zeros that take no space. */
  submitTruncate(completion: Completion, sizeBytes: number): void {
    truncateByRing(this.#reactor, this.#operations, this.fd, completion, sizeBytes);
  }

  /** Calls `task.complete(0, 0)` at the end of this tick, before its submissions reach the kernel. */
  defer(task: Completion): void {
    this.#reactor.defer(task);
  }

  /** Makes a timer of the ring; close it when it is not needed any more. */
  makeTimer(completion: Completion): OneShotTimer {
    return new RingTimer(this.#reactor, this.memory, completion);
  }
}
