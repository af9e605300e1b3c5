import { createArena, ShardMemory } from '@sunstar/runtime';
import { scatteredCase } from './alloc/scattered.js';
import { AllocationTrace } from './alloc/trace.js';
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

/** What Node has for a piece of memory. */
type Piece = Uint8Array;
type Allocate = (sizeBytes: number) => Piece;

const PEERS: readonly (readonly [name: string, allocate: Allocate])[] = [
  ['Buffer.allocUnsafe', (sizeBytes) => Buffer.allocUnsafe(sizeBytes)],
  ['Buffer.allocUnsafeSlow', (sizeBytes) => Buffer.allocUnsafeSlow(sizeBytes)],
  ['new ArrayBuffer', (sizeBytes) => new Uint8Array(new ArrayBuffer(sizeBytes))],
];

/** A Buffer is freed by the garbage collector, which runs as part of the measurement. */
function bufferPairs(allocate: Allocate, sizeBytes: number): void {
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

function bufferBatches(allocate: Allocate, sizeBytes: number, held: (Piece | undefined)[]): void {
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
  operations: number,
  ours: () => void,
  theirs: (allocate: Allocate) => void,
): BenchmarkCase {
  const measure = (body: () => void) => (): Promise<number> =>
    Promise.resolve(nanosecondsPerOperation(operations, body));
  return {
    metrics: [{ case: name, unit: 'ns/pair', higherIsBetter: false }],
    ours: measure(ours),
    peers: PEERS.map(([peer, allocate]) => ({ peer, measure: measure(() => theirs(allocate)) })),
  };
}

/** How long single allocations take while a program works: the slowest ones pay for the garbage collector. */
function latencyCase(trace: AllocationTrace, memory: ShardMemory): BenchmarkCase {
  const name = 'random sizes, one allocation in a working program';
  return {
    metrics: [
      { case: `${name}, median`, unit: 'ns', higherIsBetter: false },
      { case: `${name}, p99.9`, unit: 'ns', higherIsBetter: false },
    ],
    ours: () => Promise.resolve(trace.latencies(() => trace.runBlocks(memory, true))),
    peers: PEERS.map(([peer, allocate]) => ({
      peer,
      measure: () => Promise.resolve(trace.latencies(() => trace.runBuffers(allocate, true))),
    })),
    teardown: () => {
      trace.release(memory);
      return Promise.resolve();
    },
  };
}

const benchmark: Benchmark = {
  description:
    'allocate and free in shard memory, against Buffer.allocUnsafe, allocUnsafeSlow and ArrayBuffer',
  prepare(): Promise<PreparedBenchmark> {
    const memory = new ShardMemory(createArena(ARENA_BYTES));
    const offsets = new Float64Array(BATCH);
    const buffers = new Array<Piece | undefined>(BATCH);
    const trace = new AllocationTrace();
    return Promise.resolve({
      cases: [
        ...SIZES_BYTES.flatMap(([name, sizeBytes]) => [
          allocationCase(
            `${name}, allocate and free`,
            PAIRS,
            () => ourPairs(memory, sizeBytes),
            (allocate) => bufferPairs(allocate, sizeBytes),
          ),
          allocationCase(
            `${name}, batches of ${BATCH}`,
            PAIRS,
            () => ourBatches(memory, sizeBytes, offsets),
            (allocate) => bufferBatches(allocate, sizeBytes, buffers),
          ),
        ]),
        allocationCase(
          'random sizes in random order',
          trace.operations,
          () => trace.runBlocks(memory, false),
          (allocate) => trace.runBuffers(allocate, false),
        ),
        latencyCase(trace, memory),
        scatteredCase(),
      ],
    });
  },
};

export default benchmark;
