import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { allowedCpus } from '@sunstar/runtime';
import { startNginx } from './file-server/nginx.js';
import type { Benchmark, BenchmarkCase } from './harness/benchmark.js';
import { ServerProcess } from './harness/server-process.js';

// The client has one CPU, each server the other. On loopback the kernel copies what a zero-copy send would not, and
// sendfile need not copy at all.

const run = promisify(execFile);
const CONNECTIONS = 16;
const SECONDS = 3;
const SIZES = [
  { name: '100 KiB', bytes: 100 * 1024 },
  { name: '1 MiB', bytes: 2 ** 20 },
  { name: '10 MiB', bytes: 10 * 2 ** 20 },
];

/** Asks for one file again and again with wrk: GB/s and server CPU seconds per GB. */
async function download(server: ServerProcess, cpu: number, name: string, bytes: number): Promise<number[]> {
  const before = server.cpuSeconds();
  const { stdout } = await run('taskset', [
    ...['-c', String(cpu), 'wrk', '-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '--timeout', '15s'],
    `http://127.0.0.1:${server.port}/${name}`,
  ]);
  const after = server.cpuSeconds();
  const failed = /Non-2xx[^\n]*|Socket errors[^\n]*/.exec(stdout);
  if (failed !== null) throw new Error(`wrk: ${failed[0]}`);
  const gigabytes = (Number(/(\d+) requests in/.exec(stdout)?.[1]) * bytes) / 1e9;
  const seconds = after.user + after.kernel - before.user - before.kernel;
  return [gigabytes / SECONDS, seconds / gigabytes];
}

function sizeCase(size: (typeof SIZES)[number]): BenchmarkCase {
  const [serverCpu, clientCpu] = allowedCpus();
  const servers: ServerProcess[] = [];
  let directory: string;
  const measure = (index: number) => () => download(servers[index], clientCpu, 'file.bin', size.bytes);
  return {
    metrics: [
      { case: `${size.name}: rate`, unit: 'GB/s', higherIsBetter: true },
      { case: `${size.name}: server CPU`, unit: 's/GB', higherIsBetter: false },
    ],
    async setup() {
      if (clientCpu === undefined)
        throw new Error('this benchmark needs two CPUs: one for the server, one for the client');
      const parent = fileURLToPath(new URL('../build/', import.meta.url));
      mkdirSync(parent, { recursive: true });
      directory = mkdtempSync(join(parent, 'files-'));
      writeFileSync(join(directory, 'file.bin'), randomBytes(size.bytes));
      const program = fileURLToPath(new URL('./file-server/servers.js', import.meta.url));
      for (const kind of ['sunstar', 'node']) {
        servers.push(await ServerProcess.start(serverCpu, [process.execPath, program, kind, directory]));
      }
      servers.push(await startNginx(serverCpu, directory, directory));
    },
    async teardown() {
      for (const server of servers) await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
    ours: measure(0),
    peers: [
      { peer: 'node:http, fs streams', measure: measure(1) },
      { peer: 'nginx, sendfile', measure: measure(2) },
    ],
  };
}

/** Static files over loopback. */
const benchmark: Benchmark = {
  description: 'examples/file-server against node:http with fs streams and nginx (needs wrk and nginx)',
  prepare: () => Promise.resolve({ cases: SIZES.map(sizeCase) }),
};

export default benchmark;
