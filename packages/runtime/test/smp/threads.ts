import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { createArena, createControlBlock, type MeshStats } from '@sunstar/runtime';
import { expect } from 'vitest';

interface Report {
  readonly failures: string[];
  readonly sleeps: number;
  readonly lostWakeUps: number;
  readonly stats: MeshStats;
  readonly liveBlocks: number;
}

/** Options of {@link runThreads}. */
export interface ThreadOptions {
  readonly shards: number;
  readonly slots: number;
  readonly operations: number;
  readonly outstandingMax: number;
  readonly sleepy: boolean;
  readonly largestBytes: number;
}

/** Runs shards on threads of their own, all calling all. */
async function run(options: ThreadOptions): Promise<Report[]> {
  const { shards, slots, ...rest } = options;
  const control = createControlBlock(shards, slots);
  const arenas = Array.from({ length: shards }, () => createArena(8 * 1024 * 1024).shared);
  const workers = arenas.map(
    (_, shardId) =>
      new Worker(new URL('./thread.mjs', import.meta.url), {
        workerData: { shardId, control, arenas, ...rest },
      }),
  );
  try {
    const reports = await Promise.all(
      workers.map(async (worker) => ((await once(worker, 'message')) as [Report])[0]),
    );
    const exits = workers.map((worker) => once(worker, 'exit'));
    for (const worker of workers) worker.postMessage('stop');
    await Promise.all(exits);
    return reports;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** Runs shards on threads, and fails when a message, a wake-up or a block is lost. */
export async function runThreads(options: ThreadOptions): Promise<void> {
  const reports = await run(options);
  let sent = 0;
  let served = 0;
  for (const { failures, lostWakeUps, liveBlocks, stats } of reports) {
    expect(failures).toEqual([]);
    expect(lostWakeUps).toBe(0);
    expect(liveBlocks).toBe(0);
    expect(stats.outstanding).toBe(0);
    sent += stats.sent;
    served += stats.served;
  }
  expect(sent).toBe(served);
  expect(sent).toBe(options.shards * (options.operations + options.shards - 1));
  if (options.sleepy) {
    expect(reports.some((report) => report.sleeps > 0 && report.stats.wakeUps > 0)).toBe(true);
  }
  if (options.slots === 2) expect(reports.some((report) => report.stats.overflowed > 0)).toBe(true);
}
