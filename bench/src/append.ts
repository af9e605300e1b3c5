import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { attach, type Shard } from '@sunstar/runtime';
import { streamOurs } from './append/stream.js';
import {
  type AppendResult,
  measureWriters,
  type OurLogOptions,
  openNodeGroup,
  openNodeSimple,
  openOurs,
} from './append/writers.js';
import { hasFio, runFio } from './file/fio.js';
import { settleDisk } from './file/settle-disk.js';
import type { Benchmark, BenchmarkCase, Measurement } from './harness/benchmark.js';

const DURATION_MS = 300;
const STREAM_BYTES = 256 * 1024 * 1024;
const SIZES = [512, 4096, 65536];
const WRITERS = [1, 16, 256];

const VARIANTS: readonly { readonly name: string; readonly options: OurLogOptions }[] = [
  { name: 'ours, nothing ahead', options: { allocationStepBytes: 0, zeroAheadBytes: 0 } },
  { name: 'ours, fallocate only', options: { zeroAheadBytes: 0 } },
  { name: 'ours, flushes gathered up to 1 ms', options: { commitDelayMs: 1 } },
  { name: 'ours, flushes not coalesced', options: { isCoalesced: false } },
];

function sizeName(sizeBytes: number): string {
  return sizeBytes < 1024 ? `${sizeBytes} B` : `${sizeBytes >> 10} KiB`;
}

function measurement(result: AppendResult): Measurement {
  return [
    result.recordsPerSecond,
    result.p50Us,
    result.p99Us,
    result.p999Us,
    Math.max(result.operationsPerRecord, 1e-6),
  ];
}

function durableCase(shard: Shard, file: string, sizeBytes: number, writers: number): BenchmarkCase {
  const name = `durable, ${sizeName(sizeBytes)}, ${writers} writer${writers === 1 ? '' : 's'}`;
  const measure = async (open: () => ReturnType<typeof openOurs>): Promise<Measurement> => {
    await rm(file, { force: true });
    return measurement(await measureWriters(await open(), writers, sizeBytes, DURATION_MS));
  };
  return {
    metrics: [
      { case: `${name}: rate`, unit: 'records/s', higherIsBetter: true },
      { case: `${name}: p50`, unit: 'µs', higherIsBetter: false },
      { case: `${name}: p99`, unit: 'µs', higherIsBetter: false },
      { case: `${name}: p99.9`, unit: 'µs', higherIsBetter: false },
      { case: `${name}: calls`, unit: 'kernel operations/record', higherIsBetter: false },
    ],
    ours: () => measure(() => openOurs(shard, file)),
    peers: [
      { peer: 'node:fs, write + fdatasync', measure: () => measure(() => openNodeSimple(file)) },
      { peer: 'node:fs, group commit', measure: () => measure(() => openNodeGroup(file)) },
      ...VARIANTS.map(({ name: peer, options }) => ({
        peer,
        measure: () => measure(() => openOurs(shard, file, options)),
      })),
    ],
  };
}

function streamCases(shard: Shard, directory: string): BenchmarkCase[] {
  const fresh = path.join(directory, 'fresh');
  const recycled = path.join(directory, 'recycled');
  const prewritten = path.join(directory, 'prewritten');
  const onFresh = async (options: OurLogOptions): Promise<number> => {
    await rm(fresh, { force: true });
    return (await streamOurs(shard.memory, fresh, STREAM_BYTES, options)) / 1e6;
  };
  const fio = async (): Promise<number> => {
    const result = await runFio({
      path: prewritten,
      isWrite: true,
      sizeBytes: 131072,
      depth: 16,
      fileBytes: STREAM_BYTES,
      isGrowing: true,
      isRandom: false,
      durationMs: 0,
    });
    return (result.operationsPerSecond * 131072) / 1e6;
  };
  const peers = [{ peer: 'fio, written before', measure: fio }];
  const metric = (name: string): BenchmarkCase['metrics'] => [
    { case: `stream, 128 KiB × 16, ${name}`, unit: 'MB/s', higherIsBetter: true },
  ];
  const setup = async (): Promise<void> => {
    const block = Buffer.alloc(1 << 20, 'sunstar');
    for (const file of [recycled, prewritten]) {
      const fd = fs.openSync(file, 'w');
      for (let at = 0; at < STREAM_BYTES; at += block.length) fs.writeSync(fd, block, 0, block.length, at);
      fs.fsyncSync(fd);
      fs.closeSync(fd);
    }
  };
  return [
    { metrics: metric('new file, space ahead'), ours: () => onFresh({}), peers, setup },
    {
      metrics: metric('new file, nothing ahead'),
      ours: () => onFresh({ allocationStepBytes: 0, zeroAheadBytes: 0 }),
      peers,
      setup,
    },
    {
      metrics: metric('recycled segment'),
      ours: async () =>
        (await streamOurs(shard.memory, recycled, STREAM_BYTES, { position: 0, recycle: true })) / 1e6,
      peers,
      setup,
    },
  ];
}

const benchmark: Benchmark = {
  description:
    'durable and streaming appends, against node:fs and fio; SUNSTAR_BENCH_DIRECTORY chooses the disk',
  async prepare() {
    const shard = attach({ memory: '256MiB', log: 'error' });
    const directory = await mkdtemp(
      path.join(process.env.SUNSTAR_BENCH_DIRECTORY ?? tmpdir(), 'sunstar-append-'),
    );
    const file = path.join(directory, 'log');
    await settleDisk();
    const cases = SIZES.flatMap((sizeBytes) =>
      WRITERS.map((writers) => durableCase(shard, file, sizeBytes, writers)),
    );
    if (await hasFio()) cases.push(...streamCases(shard, directory));
    else process.stderr.write('append: fio is missing, so streams are not measured\n');
    return { cases, teardown: () => rm(directory, { recursive: true, force: true }) };
  },
};

export default benchmark;
