import type { IoQueue, Reactor, ShardMemory } from '@sunstar/runtime';
import type { RegisteredFile } from './registered-file.js';

/** The part of the reactor that files need. */
export type FileReactor = Pick<Reactor, 'submit' | 'submitNow' | 'defer'>;

/** The part of a device's queue that files need. */
export type FileQueue = Pick<IoQueue, 'submit' | 'finished' | 'cancel' | 'isFull'>;

/** What a set of operations works on. */
export interface OperationsTarget {
  readonly reactor: FileReactor;
  readonly memory: ShardMemory;
  readonly fd: number;
  /** What the ring knows of the file and its memory ahead. @defaultValue null: nothing */
  readonly registered?: Pick<RegisteredFile, 'submit'> | null;
  /** Where reads and writes wait for their turn on the device; null when they do not. */
  readonly queue: FileQueue | null;
  /** Where a transfer that came up short may be continued; 1 for any place. */
  readonly alignmentBytes: number;
  /** Operations of one scheduling group that the device, or its queue, may have at the same time. */
  readonly depth: number;
  /** Operations that may wait for that, of all groups. */
  readonly maxQueued: number;
  /** Where the file ends, if writes that make it longer are to be batched. @defaultValue infinity: they are not */
  readonly endBytes?: number;
}
