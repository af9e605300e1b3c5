import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { rename, syncDirectory, unlink } from '@sunstar/dma-file';
import type { ShardMemory } from '@sunstar/runtime';
import { segmentName } from './file-names.js';
import { LogFile } from './log-file.js';
import { FILE_KIND } from './record.js';

const RETRY_MS = 1000;

/** Whose segments they are. */
export interface SegmentOwner {
  readonly directory: string;
  readonly memory: ShardMemory;
  readonly shard: number;
  readonly shardCount: number;
  readonly epoch: number;
}

/** Prepares a segment under a temporary name. */
export function createSegment(owner: SegmentOwner, number: number): Promise<LogFile> {
  const { directory, memory, shard, shardCount, epoch } = owner;
  const identity = { kind: FILE_KIND.SEGMENT, shard, shardCount, epoch, number };
  return LogFile.create(memory, path.join(directory, `${segmentName(number)}.tmp`), identity);
}

/**
 * Gives a prepared segment its name, durably. From now on it is part of the log, so the one before it must be sealed
 * and durable.
 */
export async function nameSegment(directory: string, number: number): Promise<void> {
  const name = path.join(directory, segmentName(number));
  await rename(`${name}.tmp`, name);
  await syncDirectory(directory);
}

/**
 * Makes a sealed segment durable, however long the disk is full, closes it, and gives the next one its name.
 *
 * @param mayWait - Asked when the segment cannot be flushed: whether someone is still trying to write it.
 */
export async function replaceSegment(
  directory: string,
  old: LogFile,
  next: LogFile,
  mayWait: () => boolean,
): Promise<void> {
  for (let isFlushed = false; !isFlushed; ) {
    try {
      await old.appender.flush();
      isFlushed = true;
    } catch (error) {
      if (!mayWait()) throw error;
      await delay(RETRY_MS);
    }
  }
  await old.appender.close();
  await nameSegment(directory, next.number);
}

/** Removes a segment that was prepared in vain. Nobody waits for it, and a start removes what is left. */
export async function abandonSegment(file: LogFile): Promise<void> {
  await file.appender.close().catch(() => {});
  await unlink(file.path).catch(() => {});
}
