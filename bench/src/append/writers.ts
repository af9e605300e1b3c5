import fs from 'node:fs/promises';
import { DmaFile, SegmentAppender, type SegmentAppenderOptions } from '@sunstar/dma-file';
import { Mutex, type Shard } from '@sunstar/runtime';

/** Appends one record; resolves when it survives a power cut. */
type Append = (record: Uint8Array) => Promise<unknown>;

/** A log under test. */
interface Log {
  readonly append: Append;
  /** Operations that the kernel was given so far. */
  operations(): number;
  close(): Promise<void>;
}

/** What a load of records gave. */
export interface AppendResult {
  readonly recordsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly operationsPerRecord: number;
}

/** How a log of ours is used. */
export interface OurLogOptions extends SegmentAppenderOptions {
  /** Whether writers share syncs; otherwise each record has its own, one after the other. */
  readonly isCoalesced?: boolean;
}

/** A {@link SegmentAppender} on a new file. */
export async function openOurs(shard: Shard, path: string, options: OurLogOptions = {}): Promise<Log> {
  const { isCoalesced = true, ...appenderOptions } = options;
  const file = await DmaFile.open(path, { flags: 'w+', direct: 'require' });
  const appender = await SegmentAppender.open(file, appenderOptions);
  const mutex = new Mutex();
  const append = async (record: Uint8Array): Promise<unknown> => {
    if (!appender.hasRoom) return appender.write(record).then(() => appender.flush());
    appender.append(record);
    return appender.flush();
  };
  return {
    append: isCoalesced
      ? append
      : async (record) => {
          await mutex.lock();
          try {
            return await append(record);
          } finally {
            mutex.unlock();
          }
        },
    operations: () => shard.reactor.stats.submitted,
    close: () => appender.close(),
  };
}

/** What one writes with node:fs: a write and an fdatasync for each record. */
export async function openNodeSimple(path: string): Promise<Log> {
  const file = await fs.open(path, 'w');
  let position = 0;
  let operations = 0;
  return {
    append: async (record) => {
      const at = position;
      position += record.length;
      operations += 2;
      await file.write(record, 0, record.length, at);
      await file.datasync();
    },
    operations: () => operations,
    close: () => file.close(),
  };
}

/** Group commit with node:fs: what comes while a batch is written and synced is the next batch. */
export async function openNodeGroup(path: string): Promise<Log> {
  const file = await fs.open(path, 'w');
  let position = 0;
  let operations = 0;
  let waiting: { record: Uint8Array; resolve: () => void; reject: (error: unknown) => void }[] = [];
  let isRunning = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        const records = batch.map(({ record }) => record);
        const { bytesWritten } = await file.writev(records, position);
        position += bytesWritten;
        await file.datasync();
        operations += 2;
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isRunning = false;
  };
  return {
    append: (record) =>
      new Promise<void>((resolve, reject) => {
        waiting.push({ record, resolve, reject });
        if (!isRunning) queueMicrotask(() => void (isRunning ? undefined : run()));
      }),
    operations: () => operations,
    close: () => file.close(),
  };
}

/** So many writers append and wait, one record after the other each. */
export async function measureWriters(
  log: Log,
  writers: number,
  sizeBytes: number,
  durationMs: number,
): Promise<AppendResult> {
  const record = Buffer.alloc(sizeBytes, 'r');
  const latenciesUs: number[] = [];
  await log.append(record);
  const operationsBefore = log.operations();
  const beganMs = performance.now();
  const writer = async (): Promise<void> => {
    let startMs = performance.now();
    while (startMs - beganMs < durationMs) {
      await log.append(record);
      const endMs = performance.now();
      latenciesUs.push((endMs - startMs) * 1000);
      startMs = endMs;
    }
  };
  try {
    await Promise.all(Array.from({ length: writers }, writer));
  } finally {
    await log.close();
  }
  const elapsedMs = performance.now() - beganMs;
  const sorted = Float64Array.from(latenciesUs).sort();
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))];
  return {
    recordsPerSecond: (sorted.length * 1000) / elapsedMs,
    p50Us: at(0.5),
    p99Us: at(0.99),
    p999Us: at(0.999),
    operationsPerRecord: (log.operations() - operationsBefore) / sorted.length,
  };
}
