import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { rename, syncDirectory, unlink } from '@sunstar/dma-file';
import { OutOfMemoryError, type ShardMemory } from '@sunstar/runtime';
import type { EntryVisitor, Store } from '../store/index.js';
import { baseName } from './file-names.js';
import { LogBuffer } from './log-buffer.js';
import { type FileIdentity, LogFile } from './log-file.js';
import { OPERATION_BYTES_MAX } from './record.js';

/** A step ends when this much was written or so many buckets were looked at; then the shard serves its clients. */
const STEP_BYTES = 64 * 1024;
const STEP_BUCKETS = 2048;
/** How often a step waits for memory before the base is given up. */
const MEMORY_ATTEMPTS = 1000;

export interface BaseOptions {
  readonly memory: ShardMemory;
  readonly store: Store;
  readonly directory: string;
  readonly identity: FileIdentity;
  /** Ends the work early. */
  readonly signal: AbortSignal;
  /** Called when everything is written, before the base gets its name. */
  readonly beforeNaming: () => Promise<void>;
}

/**
 * Writes all keys of a store into a base, a bit at a time, while the store goes on changing. An entry that changes
 * meanwhile may be in it with its old or its new state, or not at all: the segments from the base's number on hold
 * the change, so that replaying them leads to the right state.
 *
 * @returns Its size.
 */
export async function writeBase(options: BaseOptions): Promise<number> {
  const { memory, directory, identity } = options;
  const name = baseName(identity.number);
  const temporary = path.join(directory, `${name}.tmp`);
  const file = await LogFile.create(memory, temporary, identity);
  let isComplete = false;
  try {
    const records = await writeEntries(file, options);
    await file.appender.waitForRoom();
    file.appendSeal(records);
    await options.beforeNaming();
    isComplete = true;
  } finally {
    await closeOrRemove(file, isComplete);
  }
  await rename(temporary, path.join(directory, name));
  await syncDirectory(directory);
  return file.sizeBytes;
}

async function closeOrRemove(file: LogFile, isComplete: boolean): Promise<void> {
  if (isComplete) {
    // Flushes. What fails here fails the base.
    await file.appender.close();
    return;
  }
  await file.appender.close().catch(() => {});
  await unlink(file.path).catch(() => {});
}

async function writeEntries(file: LogFile, { memory, store, signal }: BaseOptions): Promise<number> {
  const { entries } = store;
  const buffer = new LogBuffer(memory, entries);
  buffer.seed = file.seed;
  let records = 0;
  let isStuck = false;
  const visitor: EntryVisitor = {
    visit: (entry) => {
      if (isStuck || store.isExpired(entry)) return;
      if (buffer.admit(1, entries.keyLength(entry) + entries.valueLength(entry))) {
        buffer.set(entry);
        buffer.endRecord();
        records++;
      } else isStuck = true;
    },
  };
  try {
    let cursor = 0;
    let attempts = 0;
    for (let isFinished = false; !isFinished; ) {
      signal.throwIfAborted();
      for (let buckets = 0; buckets < STEP_BUCKETS && buffer.heldBytes < STEP_BYTES; buckets++) {
        isStuck = false;
        const next = store.scan(cursor, visitor);
        // Without memory for all of a bucket it is visited again, and some of its entries are there twice.
        if (isStuck) break;
        attempts = 0;
        cursor = next;
        isFinished = next === 0;
        if (isFinished) break;
      }
      if (isStuck && ++attempts > MEMORY_ATTEMPTS) {
        throw new OutOfMemoryError(OPERATION_BYTES_MAX, memory.stats().freeBytes);
      }
      await drain(buffer, file);
      await nextTurn();
    }
    return records;
  } finally {
    buffer.dispose();
  }
}

async function drain(buffer: LogBuffer, file: LogFile): Promise<void> {
  for (;;) {
    await file.appender.waitForRoom();
    try {
      if (buffer.drainTo(file.appender)) return;
    } catch (error) {
      // Its writes in flight give memory back.
      if (!(error instanceof OutOfMemoryError)) throw error;
      await nextTurn();
    }
  }
}
