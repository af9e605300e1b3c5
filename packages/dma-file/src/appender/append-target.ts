import type { Completion, ShardMemory } from '@sunstar/runtime';

/** The part of the shard's memory that an appender uses. */
export type AppendMemory = Pick<ShardMemory, 'bytes' | 'allocateAligned' | 'free' | 'addReclaimer'>;

/** A timer that fires once for each time it is set, in the tick. */
export interface OneShotTimer {
  /** Sets it, finer than a millisecond; one that is set stays as it is. */
  arm(delayMs: number): void;
  /** It does not fire; it can be set again at once. */
  cancel(): void;
  /** Cancels and releases it. Resolves when the kernel knows nothing of it any more. */
  close(): Promise<void>;
}

/**
 * What a {@link SegmentAppender} writes to. {@link DmaFile} is one; the tests have one that parks its
 * operations and completes them in any order.
 *
 * Every `submit…` starts one operation and returns at once; the completion gets the result (bytes or 0)
 * or a negative error number, never before the call returned. Reads and writes complete with fewer bytes
 * than asked only at the end of the file (reads); interrupted and short writes are continued underneath.
 */
export interface AppendTarget {
  /** Where the appender's buffers live; offsets in this interface are offsets into it. */
  readonly memory: AppendMemory;
  /** What memory, position and length of every read and write are multiples of; a power of two. */
  readonly pageBytes: number;
  /** Names the file in errors. */
  readonly path: string;
  /** Names the device, for what is learnt about it; by default all files are thought to be on one. */
  readonly device?: string;
  /** How many shards share the disk. */
  readonly shardCount: number;

  /** Reads into aligned memory. */
  submitRead(completion: Completion, position: number, memoryOffset: number, length: number): void;
  /** Writes from aligned memory, which must not change before the completion. */
  submitWrite(completion: Completion, position: number, memoryOffset: number, length: number): void;
  /**
   * A write that survives a power cut once it completes (RWF_DSYNC). It says nothing about other writes.
   * A short one is continued in the same way.
   */
  submitDurableWrite(completion: Completion, position: number, memoryOffset: number, length: number): void;
  /** fdatasync: covers every write that completed before this call. */
  submitSync(completion: Completion): void;
  /** fallocate that extends the size of the file as well. */
  submitAllocate(completion: Completion, position: number, length: number): void;
  /** ftruncate. */
  submitTruncate(completion: Completion, sizeBytes: number): void;

  /** The size of the file. */
  size(): Promise<number>;
  /** What this program may still allocate on the file system, or −errno. */
  freeDiskBytes(): number;
  /** Calls `task.complete(0, 0)` at the end of this tick, before the submissions reach the kernel. */
  defer(task: Completion): void;
  /** Makes a timer, which the caller closes before the target. */
  makeTimer(completion: Completion): OneShotTimer;
  /** A monotonic clock. */
  readonly nowMs: number;
  /** Waits for what is in flight and closes the file. */
  close(): Promise<void>;
}
