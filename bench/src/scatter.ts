import type { DmaFile } from '@sunstar/dma-file';
import { attach } from '@sunstar/runtime';
import { settleDisk } from './file/settle-disk.js';
import type { Benchmark, Metric, PreparedBenchmark } from './harness/benchmark.js';
import { DiskFiles } from './io/disk-load.js';

const FILE_BYTES = 256 * 1_048_576;
const BATCH_BYTES = 131_072;
const PAGE_BYTES = 4096;
const BATCHES = 400;

/** Writes one batch, or what is compared with it, at a place in the file. */
type Write = (position: number) => Promise<unknown>;

/** Median and 99th percentile of the latency in µs, one after the other at random places; MB/s of all. */
async function measure(bytes: number, write: Write): Promise<number[]> {
  const slots = FILE_BYTES / BATCH_BYTES;
  const latencies = new Float64Array(BATCHES);
  const startedMs = performance.now();
  for (let i = 0; i < BATCHES; i++) {
    const position = Math.floor(Math.random() * slots) * BATCH_BYTES;
    const before = performance.now();
    await write(position);
    latencies[i] = (performance.now() - before) * 1000;
  }
  const totalMs = performance.now() - startedMs;
  latencies.sort();
  return [latencies[BATCHES >> 1], latencies[Math.floor(BATCHES * 0.99)], (BATCHES * bytes) / totalMs / 1000];
}

async function oneByOne(file: DmaFile, data: Uint8Array, memory: number, position: number): Promise<void> {
  for (let at = 0; at < data.length; at += PAGE_BYTES) {
    await file.writeAligned(position + at, memory + at, PAGE_BYTES);
  }
}

function metric(name: string, unit: string, higherIsBetter: boolean): Metric {
  return { case: `128 KiB in pages of 4 KiB, ${name}`, unit, higherIsBetter };
}

const benchmark: Benchmark = {
  description: 'a batch of pages sent to the disk at once, against one by one, merged, and a single page',
  async prepare(): Promise<PreparedBenchmark> {
    const shard = attach({ memory: '64MiB' });
    const files = await DiskFiles.make();
    const file = await files.prewritten('pages', FILE_BYTES);
    await settleDisk();
    const memory = shard.memory.allocateAligned(BATCH_BYTES, PAGE_BYTES);
    const data = shard.memory.bytes.subarray(memory, memory + BATCH_BYTES).fill(0x77);
    const scattered = (mergeBytes: number) => (): Promise<number[]> =>
      measure(BATCH_BYTES, (position) => file.writeScattered(position, data, { mergeBytes }).done);
    return {
      cases: [
        {
          metrics: [
            metric('latency p50', 'µs', false),
            metric('latency p99', 'µs', false),
            metric('throughput', 'MB/s', true),
          ],
          ours: scattered(PAGE_BYTES),
          peers: [
            {
              peer: 'one by one',
              measure: () => measure(BATCH_BYTES, (position) => oneByOne(file, data, memory, position)),
            },
            { peer: 'merged into one write', measure: scattered(BATCH_BYTES) },
            {
              peer: 'a single page',
              measure: () =>
                measure(PAGE_BYTES, (position) => file.writeAligned(position, memory, PAGE_BYTES)),
            },
          ],
        },
      ],
      teardown: () => files.remove(),
    };
  },
};

export default benchmark;
