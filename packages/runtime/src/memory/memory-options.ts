import { SunstarError } from '../errors.js';

/** What can be changed while a shard's memory is in use, with {@link ShardMemory.configure}. */
export interface MemoryConfiguration {
  /**
   * What `allocate` does when there is no memory: throw an OutOfMemoryError, or write the report to stderr and
   * end the process with SIGABRT, for a supervisor to restart it. `tryAllocate` always returns −1.
   * @default 'throw', or SUNSTAR_OUT_OF_MEMORY
   */
  readonly onOutOfMemory?: 'throw' | 'abort';
  /**
   * Allocations of this size and more give a warning with their stack; the threshold rises by 1.618 each time,
   * and sinks again. Infinity for none. @default 8 MiB + 1
   */
  readonly largeAllocationBytes?: number;
  /**
   * When less is free in whole pages, reclaimers are asked in the background, until 1.5 times as much is. 0 for
   * never. @default 20 MiB, at most a sixteenth of the arena
   */
  readonly lowWaterBytes?: number;
  /** Gets warnings: SUNSTAR_LARGE_ALLOCATION, SUNSTAR_RECLAIM_FAILED. @default process.emitWarning */
  readonly onWarning?: (warning: SunstarError) => void;
}

/** Options of {@link ShardMemory}. */
export interface ShardMemoryOptions extends MemoryConfiguration {
  /**
   * Poison freed memory, put redzones behind blocks, detect use after free, remember who allocated what.
   * @default process.env.SUNSTAR_DEBUG === '1'
   */
  readonly debug?: boolean;
  /** Start a heap profile with this interval. @default SUNSTAR_HEAP_PROFILE, else none */
  readonly heapProfileIntervalBytes?: number;
}

/** A configuration with every default filled in. */
export type FullMemoryOptions = Required<MemoryConfiguration>;

const MIB = 1024 * 1024;

/** Fills in defaults. */
export function fullMemoryOptions(options: MemoryConfiguration, arenaBytes: number): FullMemoryOptions {
  return changedMemoryOptions(
    {
      onOutOfMemory: process.env.SUNSTAR_OUT_OF_MEMORY === 'abort' ? 'abort' : 'throw',
      largeAllocationBytes: 8 * MIB + 1,
      lowWaterBytes: Math.min(20 * MIB, Math.floor(arenaBytes / 16)),
      onWarning: (warning) => process.emitWarning(warning),
    },
    options,
  );
}

/** @throws SunstarError SUNSTAR_INVALID_OPTION */
export function changedMemoryOptions(old: FullMemoryOptions, change: MemoryConfiguration): FullMemoryOptions {
  const {
    onOutOfMemory = old.onOutOfMemory,
    largeAllocationBytes = old.largeAllocationBytes,
    lowWaterBytes = old.lowWaterBytes,
    onWarning = old.onWarning,
  } = change;
  check(onOutOfMemory === 'throw' || onOutOfMemory === 'abort', 'onOutOfMemory', "'throw' or 'abort'");
  check(largeAllocationBytes >= 1, 'largeAllocationBytes', '1 or more bytes, or Infinity');
  check(lowWaterBytes >= 0 && Number.isFinite(lowWaterBytes), 'lowWaterBytes', '0 or more bytes');
  check(typeof onWarning === 'function', 'onWarning', 'a function');
  return { onOutOfMemory, largeAllocationBytes, lowWaterBytes, onWarning };
}

function check(condition: boolean, name: string, wanted: string): void {
  if (!condition) throw new SunstarError('SUNSTAR_INVALID_OPTION', `Memory option \`${name}\` is ${wanted}.`);
}
