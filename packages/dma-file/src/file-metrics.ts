import type { ShardContext, ShardMemory } from '@sunstar/runtime';

/** Counters of a {@link DmaFile}. */
export interface DmaFileStats {
  /** Operations that the device has, or its queue. */
  readonly inFlight: number;
  /** Operations that wait before that. */
  readonly queued: number;
}

/** A file, as far as its metrics go. */
interface MeasuredFile {
  readonly stats: DmaFileStats;
}

/** The open files of each shard of this thread. */
const openFiles = new WeakMap<ShardMemory, Set<MeasuredFile>>();

function filesOf(shard: ShardContext): Set<MeasuredFile> {
  let files = openFiles.get(shard.memory);
  if (files === undefined) {
    files = new Set();
    openFiles.set(shard.memory, files);
    registerMetrics(shard, files);
  }
  return files;
}

function registerMetrics({ metrics }: ShardContext, files: Set<MeasuredFile>): void {
  const sum = (pick: (file: MeasuredFile) => number) => (): number => {
    let total = 0;
    for (const file of files) total += pick(file);
    return total;
  };
  metrics.gauge({ name: 'sunstar_file_open', help: 'Open files.', read: () => files.size });
  metrics.gauge({
    name: 'sunstar_file_operations_in_flight',
    help: 'Operations of files that the kernel has.',
    read: sum(({ stats }) => stats.inFlight),
  });
  metrics.gauge({
    name: 'sunstar_file_operations_queued',
    help: 'Operations that wait because their file has `depth` of them in flight.',
    read: sum(({ stats }) => stats.queued),
  });
}

/** Counts a file among the open ones. */
export function countOpened(shard: ShardContext, file: MeasuredFile): void {
  filesOf(shard).add(file);
}

export function countClosed(shard: ShardContext, file: MeasuredFile): void {
  filesOf(shard).delete(file);
}
