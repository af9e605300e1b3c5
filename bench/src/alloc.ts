import { createArena, ShardMemory } from '@sunstar/runtime';
import type { Benchmark, BenchmarkCase, PreparedBenchmark } from './harness/benchmark.js';
import { nanosecondsPerOperation } from './harness/timing.js';

const SIZES_BYTES: readonly (readonly [name: string, sizeBytes: number])[] = [
  ['64 B', 64],
  ['4 KiB', 4096],
  ['128 KiB', 131_072],
];
const PAIRS = 4_096;
const BATCH = 256;
/** Room for one batch of the largest size, and as much again. */
const ARENA_BYTES = 2 * BATCH * 131_072;

// The first byte of every block is written, by everybody: memory that nobody touches is not allocated.

/** Allocate, free, allocate, free … */
function ourPairs(memory: ShardMemory, sizeBytes: number): void {
  const { bytes } = memory;
  for (let i = 0; i < PAIRS; i++) {
    const offset = memory.allocate(sizeBytes);
    bytes[offset] = i;
    memory.free(offset);
  }
}

/** A Buffer is freed by the garbage collector, which runs as part of the measurement. */
function bufferPairs(allocate: (sizeBytes: number) => Buffer, sizeBytes: number): void {
  for (let i = 0; i < PAIRS; i++) allocate(sizeBytes)[0] = i;
}

/** Allocate a batch, hold all of it, then free all of it in the order of allocation. */
function ourBatches(memory: ShardMemory, sizeBytes: number, held: Float64Array): void {
  const { bytes } = memory;
  for (let done = 0; done < PAIRS; done += BATCH) {
    for (let i = 0; i < BATCH; i++) {
      const offset = memory.allocate(sizeBytes);
      bytes[offset] = i;
      held[i] = offset;
    }
    for (let i = 0; i < BATCH; i++) memory.free(held[i]);
  }
}

function bufferBatches(
  allocate: (sizeBytes: number) => Buffer,
  sizeBytes: number,
  held: (Buffer | undefined)[],
): void {
  for (let done = 0; done < PAIRS; done += BATCH) {
    for (let i = 0; i < BATCH; i++) {
      const buffer = allocate(sizeBytes);
      buffer[0] = i;
      held[i] = buffer;
    }
    held.fill(undefined);
  }
}

function allocationCase(
  name: string,
  ours: () => void,
  theirs: (allocate: (sizeBytes: number) => Buffer) => void,
): BenchmarkCase {
  const measure = (body: () => void) => (): Promise<number> =>
    Promise.resolve(nanosecondsPerOperation(PAIRS, body));
  return {
    metrics: [{ case: name, unit: 'ns/pair', higherIsBetter: false }],
    ours: measure(ours),
    peers: [
      { peer: 'Buffer.allocUnsafe', measure: measure(() => theirs((size) => Buffer.allocUnsafe(size))) },
      {
        peer: 'Buffer.allocUnsafeSlow',
        measure: measure(() => theirs((size) => Buffer.allocUnsafeSlow(size))),
      },
    ],
  };
}

const benchmark: Benchmark = {
  description: 'allocate and free in shard memory, against Buffer.allocUnsafe and Buffer.allocUnsafeSlow',
  prepare(): Promise<PreparedBenchmark> {
    const memory = new ShardMemory(createArena(ARENA_BYTES));
    const offsets = new Float64Array(BATCH);
    const buffers = new Array<Buffer | undefined>(BATCH);
    return Promise.resolve({
      cases: SIZES_BYTES.flatMap(([name, sizeBytes]) => [
        allocationCase(
          `${name}, allocate and free`,
          () => ourPairs(memory, sizeBytes),
          (allocate) => bufferPairs(allocate, sizeBytes),
        ),
        allocationCase(
          `${name}, batches of ${BATCH}`,
          () => ourBatches(memory, sizeBytes, offsets),
          (allocate) => bufferBatches(allocate, sizeBytes, buffers),
        ),
      ]),
    });
  },
};

export default benchmark;
