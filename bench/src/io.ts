import { setTimeout as delay } from 'node:timers/promises';
import type { DmaFile } from '@sunstar/dma-file';
import { attach, type SchedulingGroup, type Shard } from '@sunstar/runtime';
import type { Benchmark, BenchmarkCase, Metric, PreparedBenchmark } from './harness/benchmark.js';
import { DiskFiles, Pressure, READ_BYTES, randomReads, WRITE_BYTES } from './io/disk-load.js';

const FILE_BYTES = 512 * 1_048_576;
/** What a compaction that nobody holds back keeps in flight. */
const WRITES = 32;
const RUN_MS = 1500;
/** Until the depth is learned. */
const SETTLE_MS = 300;

interface Setting {
  readonly shard: Shard;
  readonly data: DmaFile;
  readonly first: DmaFile;
  readonly second: DmaFile;
  readonly foreground: SchedulingGroup;
  readonly background: SchedulingGroup;
  readonly readMemory: number;
}

function quantile(sorted: Float64Array, part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

/** Reads in one group and, unless null, writes in another; [p50, p90, p99] of the reads in µs, MB/s of the writes. */
async function readBeside(setting: Setting, writerGroup: SchedulingGroup | null): Promise<number[]> {
  const { shard, data, first, foreground, readMemory } = setting;
  const pressure = new Pressure(shard, first, FILE_BYTES, true, WRITE_BYTES, WRITES);
  if (writerGroup !== null) await writerGroup.run(() => pressure.start());
  const read = (ms: number): Promise<Float64Array> =>
    foreground.run(() => randomReads(data, FILE_BYTES, readMemory, ms));
  await read(SETTLE_MS);
  const before = pressure.operations;
  const startedMs = performance.now();
  const latencies = await read(RUN_MS);
  const megabytes = ((pressure.operations - before) * WRITE_BYTES) / (performance.now() - startedMs) / 1000;
  await pressure.stop();
  pressure.free();
  return [quantile(latencies, 0.5), quantile(latencies, 0.9), quantile(latencies, 0.99), megabytes];
}

/** Two writers, in one group each; MB/s of both. */
async function twoWriters(setting: Setting, groups: readonly SchedulingGroup[]): Promise<number[]> {
  const { shard, first, second } = setting;
  const pressures = [first, second].map(
    (file) => new Pressure(shard, file, FILE_BYTES, true, WRITE_BYTES, WRITES),
  );
  for (const [index, group] of groups.entries()) await group.run(() => pressures[index].start());
  await delay(SETTLE_MS);
  const before = pressures.map((one) => one.operations);
  const startedMs = performance.now();
  await delay(RUN_MS);
  const ms = performance.now() - startedMs;
  const rates = pressures.map((one, i) => ((one.operations - before[i]) * WRITE_BYTES) / ms / 1000);
  for (const one of pressures) {
    await one.stop();
    one.free();
  }
  return rates;
}

function metric(name: string, unit: string, higherIsBetter: boolean): Metric {
  return { case: name, unit, higherIsBetter };
}

function cases(setting: Setting): readonly BenchmarkCase[] {
  const { foreground, background } = setting;
  const reader = [
    metric('4 KiB random reads beside a writer, p50', 'µs', false),
    metric('4 KiB random reads beside a writer, p90', 'µs', false),
    metric('4 KiB random reads beside a writer, p99', 'µs', false),
  ];
  const withGoal = async (latencyGoalMs: number): Promise<number[]> => {
    const { io } = setting.shard;
    const before = io.options.latencyGoalMs;
    io.configure({ latencyGoalMs });
    try {
      return await readBeside(setting, background);
    } finally {
      io.configure({ latencyGoalMs: before });
    }
  };
  const third = setting.shard.groups.create({ name: 'third', ioShares: 300 });
  return [
    {
      metrics: reader,
      ours: async () => (await readBeside(setting, background)).slice(0, 3),
      peers: [
        { peer: 'no writer', measure: async () => (await readBeside(setting, null)).slice(0, 3) },
        { peer: 'unscheduled', measure: async () => (await readBeside(setting, foreground)).slice(0, 3) },
        { peer: 'goal 0.25 ms', measure: async () => (await withGoal(0.25)).slice(0, 3) },
      ],
    },
    {
      metrics: [metric('128 KiB writes beside the reader', 'MB/s', true)],
      ours: async () => (await readBeside(setting, background))[3],
      peers: [
        { peer: 'unscheduled', measure: async () => (await readBeside(setting, foreground))[3] },
        { peer: 'goal 0.25 ms', measure: async () => (await withGoal(0.25))[3] },
      ],
    },
    {
      metrics: [
        metric('two writers with 100 and 300 shares, second ÷ first', '×', true),
        metric('two writers with 100 and 300 shares, together', 'MB/s', true),
      ],
      ours: async () => {
        const [first, second] = await twoWriters(setting, [background, third]);
        return [second / first, first + second];
      },
      peers: [
        {
          peer: 'unscheduled',
          measure: async () => {
            const [first, second] = await twoWriters(setting, [background, background]);
            return [second / first, first + second];
          },
        },
      ],
    },
  ];
}

const benchmark: Benchmark = {
  description:
    'a reader beside a writer of the background, and two writers by shares, with and without groups',
  async prepare(): Promise<PreparedBenchmark> {
    const shard = attach({ memory: '64MiB' });
    const files = await DiskFiles.make();
    const setting: Setting = {
      shard,
      data: await files.prewritten('data', FILE_BYTES),
      first: await files.prewritten('first', FILE_BYTES),
      second: await files.prewritten('second', FILE_BYTES),
      foreground: shard.groups.create({ name: 'foreground', ioShares: 1000 }),
      background: shard.groups.create({ name: 'background', ioShares: 100 }),
      readMemory: shard.memory.allocateAligned(READ_BYTES, 4096),
    };
    return { cases: cases(setting), teardown: () => files.remove() };
  },
};

export default benchmark;
