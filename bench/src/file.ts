import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { attach } from '@sunstar/runtime';
import { hasFio, runFio } from './file/fio.js';
import { interruptCpu } from './file/interrupt-cpu.js';
import type { FileJob, FileResult } from './file/job.js';
import { runNode, runOurs } from './file/runners.js';
import { settleDisk } from './file/settle-disk.js';
import type { Benchmark, BenchmarkCase, Measurement, Peer } from './harness/benchmark.js';

const PREWRITTEN_BYTES = 256 * 1024 * 1024;
const DURATION_MS = 400;
const DEPTHS = [1, 4, 16, 64];
const SIZES = [4096, 131072];
/** As a shard of a runtime that has its CPUs to itself does by default. */
const IDLE_POLL_US = 200;

/** Kinds of job; a growing file is as long as its operations take about as long as the others. */
const KINDS = [
  { name: 'read', isWrite: false, isGrowing: false },
  { name: 'write, prewritten', isWrite: true, isGrowing: false },
  { name: 'write, growing', isWrite: true, isGrowing: true },
] as const;

/** Jobs that are also done with registered memory and descriptors. */
const REGISTERED = [
  { isWrite: false, sizeBytes: 4096, depth: 64 },
  { isWrite: true, sizeBytes: 4096, depth: 64 },
  { isWrite: false, sizeBytes: 131072, depth: 16 },
  { isWrite: true, sizeBytes: 131072, depth: 16 },
];

function growingBytes(sizeBytes: number): number {
  return sizeBytes === 4096 ? 16 << 20 : 128 << 20;
}

function measurement(result: FileResult, isGrowing: boolean): Measurement {
  const { operationsPerSecond, p50Us, p99Us, cpuUsPerOperation } = result;
  return isGrowing
    ? [operationsPerSecond, p50Us, p99Us]
    : [operationsPerSecond, p50Us, p99Us, cpuUsPerOperation];
}

/** A growing file begins anew each time. */
async function measured(job: FileJob, run: () => Promise<FileResult>): Promise<Measurement> {
  if (job.isGrowing) {
    await rm(job.path, { force: true });
    await rm(`${job.path}-cached`, { force: true });
  }
  return measurement(await run(), job.isGrowing);
}

function metricsOf(job: FileJob, name: string): BenchmarkCase['metrics'] {
  return [
    { case: `${name}: rate`, unit: 'operations/s', higherIsBetter: true },
    { case: `${name}: p50`, unit: 'µs', higherIsBetter: false },
    { case: `${name}: p99`, unit: 'µs', higherIsBetter: false },
    // fio counts its own thread only, and growing files are written by threads of the ring.
    ...(job.isGrowing ? [] : [{ case: `${name}: CPU`, unit: 'µs/operation', higherIsBetter: false }]),
  ];
}

function fileCase(job: FileJob, name: string, fio: boolean): BenchmarkCase {
  const { memory } = attach();
  const peers: Peer[] = [
    { peer: 'node:fs, O_DIRECT', measure: () => measured(job, () => runNode(memory, job, true)) },
    {
      peer: 'node:fs, page cache',
      measure: () => measured(job, () => runNode(memory, { ...job, path: `${job.path}-cached` }, false)),
    },
  ];
  if (fio) peers.unshift({ peer: 'fio, io_uring', measure: () => measured(job, () => runFio(job)) });
  return {
    metrics: metricsOf(job, name),
    // Compilers are warm.
    warmupRounds: job.isGrowing ? 1 : 0,
    ours: () => measured(job, () => runOurs(memory, job)),
    peers,
  };
}

/** What registering memory and descriptor is worth, to us and to fio. */
function registeredCase(job: FileJob, name: string): BenchmarkCase {
  const { memory } = attach();
  const registered = { ...job, isRegistered: true };
  return {
    metrics: [
      { case: `${name}, registered: rate`, unit: 'operations/s', higherIsBetter: true },
      { case: `${name}, registered: CPU`, unit: 'µs/operation', higherIsBetter: false },
    ],
    warmupRounds: 0,
    ours: async () => rateAndCpu(await runOurs(memory, registered)),
    peers: [
      { peer: 'ours, not registered', measure: async () => rateAndCpu(await runOurs(memory, job)) },
      { peer: 'fio, registered', measure: async () => rateAndCpu(await runFio(registered)) },
      { peer: 'fio, not registered', measure: async () => rateAndCpu(await runFio(job)) },
    ],
  };
}

/** What looking for answers before going to sleep is worth: shards of a runtime do, `attach()` by default does not. */
function pollingCase(job: FileJob, name: string): BenchmarkCase {
  const { memory } = attach();
  const polling = { ...job, idlePollUs: IDLE_POLL_US };
  return {
    metrics: metricsOf(job, `${name}, polling`),
    warmupRounds: job.isGrowing ? 1 : 0,
    ours: () => measured(job, () => runOurs(memory, polling)),
    peers: [{ peer: 'fio, io_uring', measure: () => measured(job, () => runFio(job)) }],
  };
}

function rateAndCpu({ operationsPerSecond, cpuUsPerOperation }: FileResult): Measurement {
  return [operationsPerSecond, cpuUsPerOperation];
}

function prewrite(file: string): void {
  const block = Buffer.alloc(1 << 20, 'sunstar');
  const fd = fs.openSync(file, 'w');
  for (let at = 0; at < PREWRITTEN_BYTES; at += block.length) fs.writeSync(fd, block, 0, block.length, at);
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

/** Half a second of reads or writes, for V8's compilers. */
function warmUpJob(file: string, isWrite: boolean, cpu?: number): FileJob {
  return {
    path: file,
    isWrite,
    sizeBytes: 4096,
    depth: 64,
    fileBytes: PREWRITTEN_BYTES,
    isGrowing: false,
    isRandom: true,
    durationMs: 500,
    cpu,
  };
}

const benchmark: Benchmark = {
  description:
    'reads and writes of 4 and 128 KiB at depth 1 to 64, against fio and node:fs; SUNSTAR_BENCH_DIRECTORY chooses the disk',
  async prepare() {
    attach({ memory: '256MiB', log: 'error' });
    const fio = await hasFio();
    if (!fio) process.stderr.write('file: fio is missing, so it is not compared with\n');
    const directory = await mkdtemp(
      path.join(process.env.SUNSTAR_BENCH_DIRECTORY ?? tmpdir(), 'sunstar-file-'),
    );
    const prewritten = path.join(directory, 'prewritten');
    prewrite(prewritten);
    // A file of its own: direct I/O would have to write back what the page cache holds of the other.
    prewrite(`${prewritten}-cached`);
    // Which CPU a thread sleeps on is luck otherwise: where the disk's interrupts do not go, it gets half the rate.
    // node:fs finds it: with ours, threads of the kernel would be made that are not on that CPU.
    const { memory } = attach();
    const cpu = await interruptCpu(async () => {
      await runNode(memory, warmUpJob(prewritten, false), true);
      await runNode(memory, warmUpJob(prewritten, true), true);
    });
    await runOurs(memory, warmUpJob(prewritten, false, cpu));
    await runOurs(memory, warmUpJob(prewritten, true, cpu));
    process.stderr.write(`file: fio and the main thread run on CPU ${cpu ?? 'of the scheduler'}\n`);
    await settleDisk();
    const cases: BenchmarkCase[] = [];
    for (const kind of KINDS) {
      for (const sizeBytes of SIZES) {
        for (const depth of DEPTHS) {
          const job: FileJob = {
            path: kind.isGrowing ? path.join(directory, 'growing') : prewritten,
            isWrite: kind.isWrite,
            sizeBytes,
            depth,
            fileBytes: kind.isGrowing ? growingBytes(sizeBytes) : PREWRITTEN_BYTES,
            isGrowing: kind.isGrowing,
            isRandom: sizeBytes === 4096 && !kind.isGrowing,
            durationMs: DURATION_MS,
            cpu,
          };
          if (fio && (job.isRandom || (sizeBytes === 4096 && depth === 1)))
            cases.push(pollingCase(job, `${kind.name}, ${sizeBytes >> 10} KiB × ${depth}`));
          cases.push(fileCase(job, `${kind.name}, ${sizeBytes >> 10} KiB × ${depth}`, fio));
        }
      }
    }
    if (fio) {
      for (const { isWrite, sizeBytes, depth } of REGISTERED) {
        const job: FileJob = {
          path: prewritten,
          isWrite,
          sizeBytes,
          depth,
          fileBytes: PREWRITTEN_BYTES,
          isGrowing: false,
          isRandom: sizeBytes === 4096,
          durationMs: DURATION_MS,
          cpu,
        };
        cases.push(
          registeredCase(job, `${isWrite ? 'write, prewritten' : 'read'}, ${sizeBytes >> 10} KiB × ${depth}`),
        );
      }
    }
    return { cases, teardown: () => rm(directory, { recursive: true, force: true }) };
  },
};

export default benchmark;
