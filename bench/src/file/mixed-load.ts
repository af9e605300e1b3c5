// node bench/dist/file/mixed-load.js OUT.json [DIRECTORY]: latency of 4 KiB reads (70 %) and writes (30 %) at random
// places of a file, at several offered loads, for DmaFile, node:fs with O_DIRECT and fio; in turns, three rounds.
// node scripts/plot-file-latency.mjs draws what it found.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { DmaFile } from '@sunstar/dma-file';
import { attach } from '@sunstar/runtime';
import { describeMachine } from '../harness/report.js';
import { median } from '../harness/statistics.js';

const FILE_BYTES = 256 * 1024 * 1024;
const BLOCK_BYTES = 4096;
const SLOTS = 64;
const READ_SHARE = 0.7;
const DURATION_MS = 1000;
const ROUNDS = 3;
const LOADS = [1000, 2000, 5000, 10_000, 20_000, 30_000, 40_000, 60_000, 80_000];
/** How often the JavaScript programs look whether operations are due. */
const PACE_MS = 0.2;
/** Once fewer than this share of the offered load is served, larger loads tell nothing new. */
const SERVED_MIN = 0.9;

interface Sample {
  readonly served: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

type Start = (isRead: boolean, slot: number, position: number, done: (result: number) => void) => void;

const shard = attach({ memory: '64MiB', log: 'error' });
const { memory } = shard;
const offsets = Array.from({ length: SLOTS }, () => memory.allocateAligned(BLOCK_BYTES, BLOCK_BYTES));

/**
 * Operations at fixed times, however long earlier ones take. A latency counts from when the operation is started, as
 * fio's do: on a machine that is busy otherwise, the time from when it is due would measure the other programs.
 */
function openLoop(file: DmaFile, rate: number, start: Start): Promise<Sample> {
  const total = Math.floor((rate * DURATION_MS) / 1000);
  const latenciesMs = new Float64Array(total);
  const free = Array.from({ length: SLOTS }, (_, slot) => slot);
  const beganMs = performance.now();
  let issued = 0;
  let completed = 0;
  return new Promise((resolve, reject) => {
    const pump = (): void => {
      const nowMs = performance.now();
      while (issued < total && free.length > 0) {
        const dueMs = beganMs + (issued * 1000) / rate;
        if (dueMs > nowMs) break;
        const slot = free.pop() as number;
        issued++;
        const startedMs = performance.now();
        const place = Math.floor((Math.random() * FILE_BYTES) / BLOCK_BYTES);
        start(Math.random() < READ_SHARE, slot, place * BLOCK_BYTES, (result) => {
          if (result !== BLOCK_BYTES) reject(new Error(`an operation gave ${result}`));
          latenciesMs[completed++] = performance.now() - startedMs;
          free.push(slot);
          if (completed === total) finish();
          else if (issued < total) pump();
        });
      }
      if (issued < total) timer.arm(PACE_MS);
    };
    const timer = file.makeTimer({ complete: pump });
    const finish = (): void => {
      const elapsedMs = performance.now() - beganMs;
      const sorted = latenciesMs.sort();
      const at = (share: number): number => sorted[Math.floor(share * (total - 1))] * 1000;
      void timer
        .close()
        .then(() => resolve({ served: (total * 1000) / elapsedMs, p50Us: at(0.5), p99Us: at(0.99) }));
    };
    pump();
  });
}

async function ours(file: DmaFile, rate: number): Promise<Sample> {
  return openLoop(file, rate, (isRead, slot, position, done) => {
    if (isRead) file.submitRead({ complete: done }, position, offsets[slot], BLOCK_BYTES);
    else file.submitWrite({ complete: done }, position, offsets[slot], BLOCK_BYTES);
  });
}

async function nodeFs(file: DmaFile, rate: number): Promise<Sample> {
  const fd = fs.openSync(file.path, fs.constants.O_RDWR | fs.constants.O_DIRECT);
  const buffers = offsets.map((offset) => memory.bytes.subarray(offset, offset + BLOCK_BYTES));
  try {
    return await openLoop(file, rate, (isRead, slot, position, done) => {
      const ended = (error: NodeJS.ErrnoException | null, moved: number): void =>
        done(error === null ? moved : -1);
      if (isRead) fs.read(fd, buffers[slot], 0, BLOCK_BYTES, position, ended);
      else fs.write(fd, buffers[slot], 0, BLOCK_BYTES, position, ended);
    });
  } finally {
    fs.closeSync(fd);
  }
}

interface FioSide {
  readonly iops: number;
  readonly total_ios: number;
  readonly lat_ns: { readonly percentile?: Readonly<Record<string, number>> };
}

async function fio(file: DmaFile, rate: number): Promise<Sample> {
  const reads = Math.round(rate * READ_SHARE);
  const { stdout } = await promisify(execFile)('fio', [
    '--name=job',
    `--filename=${file.path}`,
    '--rw=randrw',
    `--rwmixread=${READ_SHARE * 100}`,
    `--rate_iops=${reads},${rate - reads}`,
    `--bs=${BLOCK_BYTES}`,
    `--iodepth=${SLOTS}`,
    `--size=${FILE_BYTES}`,
    '--time_based',
    `--runtime=${DURATION_MS}ms`,
    '--ioengine=io_uring',
    '--direct=1',
    '--norandommap',
    '--randrepeat=0',
    '--lat_percentiles=1',
    '--output-format=json',
  ]);
  const [job] = (
    JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: { read: FioSide; write: FioSide }[] }
  ).jobs;
  const at = (name: string): number => {
    const read = job.read.lat_ns.percentile?.[name] ?? 0;
    const write = job.write.lat_ns.percentile?.[name] ?? 0;
    // fio tells the kinds apart: the mean, weighted by their numbers, is close enough for a plot.
    const total = job.read.total_ios + job.write.total_ios;
    return (read * job.read.total_ios + write * job.write.total_ios) / total / 1000;
  };
  return { served: job.read.iops + job.write.iops, p50Us: at('50.000000'), p99Us: at('99.000000') };
}

const PROGRAMS = [
  { name: 'sunstar', run: ours },
  { name: 'node:fs, O_DIRECT', run: nodeFs },
  { name: 'fio, io_uring', run: fio },
];

const [outFile, directory = tmpdir()] = process.argv.slice(2);
if (outFile === undefined) throw new Error('usage: node bench/dist/file/mixed-load.js OUT.json [DIRECTORY]');
const scratch = await mkdtemp(path.join(directory, 'sunstar-mixed-'));
const file = await DmaFile.open(path.join(scratch, 'file'), { flags: 'w+', direct: 'require' });
const block = Buffer.alloc(1 << 20, 'sunstar');
for (let at = 0; at < FILE_BYTES; at += block.length) await file.write(at, block);
await file.fsync();
await ours(file, 5000);
await nodeFs(file, 5000);
const series = PROGRAMS.map(({ name }) => ({ name, points: [] as object[], isSaturated: false }));
for (const load of LOADS) {
  const samples: Sample[][] = PROGRAMS.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, program] of PROGRAMS.entries()) {
      if (!series[i].isSaturated) samples[i].push(await program.run(file, load));
    }
  }
  for (const [i, own] of samples.entries()) {
    if (own.length === 0) continue;
    const of = (key: keyof Sample): number => median(own.map((sample) => sample[key]));
    series[i].points.push({ load, served: of('served'), p50Us: of('p50Us'), p99Us: of('p99Us') });
    series[i].isSaturated = of('served') < load * SERVED_MIN;
  }
  process.stderr.write(`${load} operations/s done\n`);
}
await file.close();
for (const offset of offsets) memory.free(offset);
await rm(scratch, { recursive: true });
await writeFile(outFile, `${JSON.stringify({ machine: describeMachine(), series }, undefined, 2)}\n`);
