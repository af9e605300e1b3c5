import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { FileJob, FileResult } from './job.js';

const run = promisify(execFile);

interface FioDirection {
  readonly iops: number;
  readonly total_ios: number;
  readonly runtime: number;
  readonly lat_ns: { readonly percentile?: Readonly<Record<string, number>> };
}

interface FioOutput {
  readonly jobs: readonly {
    readonly read: FioDirection;
    readonly write: FioDirection;
    readonly usr_cpu: number;
    readonly sys_cpu: number;
    readonly error: number;
  }[];
}

/** Whether this machine has fio. */
export async function hasFio(): Promise<boolean> {
  return run('fio', ['--version']).then(
    () => true,
    () => false,
  );
}

/** Does a job with fio's io_uring engine, one process, the same flags as the others. */
export async function runFio(job: FileJob): Promise<FileResult> {
  const { path, isWrite, sizeBytes, depth, fileBytes, isGrowing, isRandom, durationMs, isRegistered, cpu } =
    job;
  const direction = isWrite ? 'write' : 'read';
  const { stdout } = await run('fio', [
    '--name=job',
    `--filename=${path}`,
    `--rw=${isRandom ? 'rand' : ''}${direction}`,
    `--bs=${sizeBytes}`,
    `--iodepth=${depth}`,
    `--size=${fileBytes}`,
    ...(isGrowing ? [] : ['--time_based', `--runtime=${durationMs}ms`]),
    '--ioengine=io_uring',
    '--direct=1',
    '--fallocate=none',
    '--norandommap',
    ...(isRegistered === true ? ['--fixedbufs', '--registerfiles'] : []),
    ...(cpu === undefined ? [] : [`--cpus_allowed=${cpu}`]),
    '--randrepeat=0',
    // From the moment when an operation is begun, submitting it included, as for the others.
    '--lat_percentiles=1',
    '--output-format=json',
  ]);
  const [result] = (JSON.parse(stdout.slice(stdout.indexOf('{'))) as FioOutput).jobs;
  if (result.error !== 0) throw new Error(`fio failed with error ${result.error}`);
  const moved = isWrite ? result.write : result.read;
  const percentile = moved.lat_ns.percentile ?? {};
  const cpuMs = ((result.usr_cpu + result.sys_cpu) / 100) * moved.runtime;
  return {
    operationsPerSecond: moved.iops,
    p50Us: percentile['50.000000'] / 1000,
    p99Us: percentile['99.000000'] / 1000,
    cpuUsPerOperation: (cpuMs * 1000) / moved.total_ios,
  };
}
