import { SingleBar } from 'cli-progress';
import { type DirectoryPlan, shardDirectory } from './log/data-directory.js';
import { bytesToRecover } from './log/recovery.js';

/** A start that takes no longer than this shows no bar. */
const QUIET_MS = 1000;
const STEP_MS = 100;
const MIB = 1024 * 1024;

/** Memory in which every shard counts the bytes that it has replayed: one double each, written by that shard alone. */
export function createProgress(shards: number): SharedArrayBuffer {
  return new SharedArrayBuffer(8 * shards);
}

export function addReplayedBytes(progress: SharedArrayBuffer, shard: number, bytes: number): void {
  new Float64Array(progress)[shard] += bytes;
}

/** Bytes that all shards together will replay. When the number of shards has changed, each one reads all logs. */
async function bytesToReplay(plan: DirectoryPlan): Promise<number> {
  const source = plan.previous ?? plan;
  let bytes = 0;
  for (let shard = 0; shard < source.shards; shard++) {
    bytes += await bytesToRecover(shardDirectory(plan.path, source.epoch, shard));
  }
  return plan.previous === undefined ? bytes : bytes * plan.shards;
}

/**
 * Shows a bar on a terminal, and a line on anything else, when the replay takes more than a second.
 *
 * @returns Ends it.
 */
export async function showProgress(plan: DirectoryPlan, progress: SharedArrayBuffer): Promise<() => void> {
  const totalMib = Math.ceil((await bytesToReplay(plan)) / MIB);
  const startedAt = performance.now();
  const done = new Float64Array(progress);
  let bar: SingleBar | null = null;
  const timer = setInterval(() => {
    if (totalMib === 0 || performance.now() - startedAt < QUIET_MS) return;
    const doneMib = Math.min(totalMib, Math.floor(done.reduce((sum, bytes) => sum + bytes, 0) / MIB));
    if (bar === null) {
      bar = new SingleBar({
        format: 'replaying the log [{bar}] {percentage}% | {value}/{total} MiB | {duration_formatted}',
        noTTYOutput: true,
        notTTYSchedule: 5000,
        stream: process.stderr,
        clearOnComplete: true,
      });
      bar.start(totalMib, doneMib);
    } else bar.update(doneMib);
  }, STEP_MS);
  return () => {
    clearInterval(timer);
    bar?.stop();
  };
}
