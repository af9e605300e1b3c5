import fs from 'node:fs/promises';
import path from 'node:path';
import { DmaFile, readDirectory, rename, SegmentAppender, syncDirectory, unlink } from '@sunstar/dma-file';
import { OutOfMemoryError, type ShardMemory } from '@sunstar/runtime';
import { logDamaged, logIncomplete, replayOutOfMemory } from './errors.js';
import { baseName, type FilePlan, planFiles, segmentName } from './file-names.js';
import { appendSeal } from './log-file.js';
import { LogReader, type ReplayProgress, type ReplayResult } from './log-reader.js';
import { FILE_KIND, type LogSink } from './record.js';

/** What a shard found in its log. */
export interface RecoveryReport {
  /** Records that were replayed, those of the base included. */
  readonly records: number;
  /** Bytes behind the last valid record, which were cut off. */
  readonly droppedBytes: number;
  /** Whether the log was closed in order the last time. */
  readonly isClean: boolean;
  /** Bytes of the base, and of the segments behind it. */
  readonly baseBytes: number;
  readonly segmentBytes: number;
  readonly segmentCount: number;
  /** Number of the segment that the log goes on in. */
  readonly nextNumber: number;
  readonly durationMs: number;
}

export interface RecoveryOptions {
  readonly directory: string;
  readonly memory: ShardMemory;
  /** Goes on with what is whole when a file is damaged that was complete once. */
  readonly repair: boolean;
  /** Leaves every file as it is: the log belongs to an epoch that is being replaced. */
  readonly readOnly: boolean;
  readonly progress: ReplayProgress;
}

interface PlannedFile {
  readonly kind: number;
  readonly number: number;
  readonly path: string;
}

/** Bytes that {@link recover} will read. */
export async function bytesToRecover(directory: string): Promise<number> {
  let bytes = 0;
  for (const file of filesOf(directory, planFiles(await readDirectory(directory)))) {
    bytes += (await fs.stat(file.path)).size;
  }
  return bytes;
}

/**
 * Replays the log of one shard: the newest base, then the segments behind it. A torn end of the last segment is cut
 * off, durably, and the segment sealed, so that the log can go on in the next one.
 *
 * @throws SunstarError SUNSTAR_KV_LOG_DAMAGED, SUNSTAR_KV_LOG_INCOMPLETE, SUNSTAR_KV_REPLAY_OUT_OF_MEMORY, SystemError
 */
export async function recover(sink: LogSink, options: RecoveryOptions): Promise<RecoveryReport> {
  const { directory, readOnly, repair } = options;
  const startedAt = performance.now();
  const names = await readDirectory(directory);
  const plan = planFiles(names);
  if (plan.missing > 0) {
    if (!repair) throw logIncomplete(directory, segmentName(plan.missing));
    if (!readOnly) await setAside(directory, plan.unreachable);
  }
  if (!readOnly) await removeFiles(directory, plan.stale);

  const totals = { records: 0, droppedBytes: 0, baseBytes: 0, segmentBytes: 0, segmentCount: 0 };
  const files = filesOf(directory, plan);
  let isClean = true;
  let nextNumber = Math.max(1, plan.base);
  for (const [index, file] of files.entries()) {
    const result = await replayFile(sink, file, options);
    totals.records += result.records;
    totals.droppedBytes += result.droppedBytes;
    if (file.kind === FILE_KIND.BASE) totals.baseBytes = result.validBytes;
    else {
      totals.segmentBytes += result.validBytes;
      totals.segmentCount++;
      // A segment without records is replaced by the next one.
      nextNumber = result.records === 0 ? file.number : file.number + 1;
    }
    if (result.isSealed) continue;

    // A base has a seal before it has its name, and so has a segment that another one follows.
    isClean = false;
    const isLast = index === files.length - 1;
    const isTorn = isLast && file.kind === FILE_KIND.SEGMENT && result.header !== undefined;
    if (!isTorn && !repair) throw logDamaged(file.path, result.validBytes, 'a record is invalid');
    if (!readOnly) await cut(options.memory, file, result, isTorn);
    if (file.kind === FILE_KIND.BASE) continue;
    if (!readOnly) await setAside(directory, plan.segments.filter((n) => n > file.number).map(segmentName));
    break;
  }
  return { ...totals, isClean, nextNumber, durationMs: performance.now() - startedAt };
}

function filesOf(directory: string, plan: FilePlan): PlannedFile[] {
  const bases = plan.base > 0 ? [plan.base] : [];
  return [
    ...bases.map((number) => ({
      kind: FILE_KIND.BASE,
      number,
      path: path.join(directory, baseName(number)),
    })),
    ...plan.segments.map((number) => ({
      kind: FILE_KIND.SEGMENT,
      number,
      path: path.join(directory, segmentName(number)),
    })),
  ];
}

async function replayFile(sink: LogSink, file: PlannedFile, options: RecoveryOptions): Promise<ReplayResult> {
  await using source = await DmaFile.open(file.path, { flags: 'r' });
  const sizeBytes = await source.size();
  const reader = new LogReader(
    options.memory,
    { sizeBytes, read: (position, memoryOffset, length) => source.readInto(position, memoryOffset, length) },
    options.progress,
  );
  try {
    const result = await reader.replay(sink);
    const { header } = result;
    if (header === undefined) {
      if (!options.repair) throw logDamaged(file.path, 0, 'it has no valid header');
    } else if (header.kind !== file.kind || header.number !== file.number) {
      throw logDamaged(file.path, 0, 'its header belongs to another file');
    }
    return result;
  } catch (error) {
    throw error instanceof OutOfMemoryError ? replayOutOfMemory(file.path, error) : error;
  }
}

/** Cuts off what is invalid and seals the rest. */
async function cut(
  memory: ShardMemory,
  file: PlannedFile,
  { header, validBytes, records }: ReplayResult,
  isTorn: boolean,
): Promise<void> {
  if (!isTorn) await fs.copyFile(file.path, `${file.path}.damaged`);
  if (header === undefined) {
    await removeFiles(path.dirname(file.path), [path.basename(file.path)]);
    return;
  }
  const appender = await SegmentAppender.open(await DmaFile.open(file.path, { flags: 'r+' }), {
    position: validBytes,
  });
  try {
    appendSeal(memory, appender, header.seed, records);
  } finally {
    await appender.close();
  }
}

/** Keeps files out of the way of those that will get their names. */
async function setAside(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rename(path.join(directory, name), path.join(directory, `${name}.damaged`));
  if (names.length > 0) await syncDirectory(directory);
}

/** Removes files; afterwards a power cut does not bring them back. */
export async function removeFiles(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) await unlink(path.join(directory, name));
  if (names.length > 0) await syncDirectory(directory);
}
