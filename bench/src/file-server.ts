import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { allowedCpus } from '@sunstar/runtime';
import { startNginx } from './file-server/nginx.js';
import type { Benchmark, BenchmarkCase } from './harness/benchmark.js';
import { ServerProcess } from './harness/server-process.js';
import { type Wire, zeroCopyWire } from './zerocopy/rig.js';

// The client has one CPU, each server the other. On loopback the kernel copies what a zero-copy send would not, and
// sendfile need not copy at all.

const run = promisify(execFile);
const CONNECTIONS = 16;
const SECONDS = 3;
const WARM_UP_MS = 700;
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

/**
 * Has a server send to the end of a wire that takes everything. The answers arrive nowhere, so nothing is left of a
 * copy that the reader would pay for: what a server on a real network pays.
 */
async function sendOnWire(server: ServerProcess, cpu: number, wire: Wire): Promise<number[]> {
  const program = fileURLToPath(new URL('./file-server/requester.js', import.meta.url));
  const words = [...wire.far, 'taskset', '-c', String(cpu), process.execPath, program];
  const [command, ...rest] = [...words, wire.nearAddress, String(server.port), '/file.bin', '4'];
  const requester = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    for await (const line of createInterface({ input: requester.stdout })) if (line === 'ready') break;
    await sleep(WARM_UP_MS);
    const sentBefore = await wire.sentBytes();
    const before = server.cpuSeconds();
    await sleep(SECONDS * 1000);
    const after = server.cpuSeconds();
    const gigabytes = ((await wire.sentBytes()) - sentBefore) / 1e9;
    const seconds = after.user + after.kernel - before.user - before.kernel;
    return [gigabytes / SECONDS, seconds / gigabytes];
  } finally {
    requester.kill('SIGKILL');
    await once(requester, 'exit');
  }
}

function sizeCase(size: (typeof SIZES)[number], where: 'loopback' | 'rig'): BenchmarkCase {
  const [serverCpu, clientCpu] = allowedCpus();
  const servers: ServerProcess[] = [];
  let directory: string;
  let wire: Wire | undefined;
  const measure = (index: number) => () =>
    wire === undefined
      ? download(servers[index], clientCpu, 'file.bin', size.bytes)
      : sendOnWire(servers[index], clientCpu, wire);
  return {
    metrics: [
      { case: `${where}, ${size.name}: rate`, unit: 'GB/s', higherIsBetter: true },
      { case: `${where}, ${size.name}: server CPU`, unit: 's/GB', higherIsBetter: false },
    ],
    async setup() {
      if (clientCpu === undefined)
        throw new Error('this benchmark needs two CPUs: one for the server, one for the client');
      const parent = fileURLToPath(new URL('../build/', import.meta.url));
      mkdirSync(parent, { recursive: true });
      directory = mkdtempSync(join(parent, 'files-'));
      writeFileSync(join(directory, 'file.bin'), randomBytes(size.bytes));
      const program = fileURLToPath(new URL('./file-server/servers.js', import.meta.url));
      if (where === 'rig') wire = await zeroCopyWire();
      const prefix = wire?.near ?? [];
      const host = wire?.nearAddress ?? '127.0.0.1';
      for (const kind of ['sunstar', 'node']) {
        const command = [...prefix, process.execPath, program, kind, directory, host];
        servers.push(await ServerProcess.start(serverCpu, command));
      }
      servers.push(await startNginx(serverCpu, directory, directory, host, prefix));
    },
    async teardown() {
      for (const server of servers) await server.stop();
      await wire?.close();
      rmSync(directory, { recursive: true, force: true });
    },
    ours: measure(0),
    peers: [
      { peer: 'node:http, fs streams', measure: measure(1) },
      { peer: 'nginx, sendfile', measure: measure(2) },
    ],
  };
}

/** Static files, over loopback and over a wire on which zero copy is real. */
const benchmark: Benchmark = {
  description:
    'examples/file-server against node:http with fs streams and nginx, on loopback (needs wrk and nginx) and on the rig of zerocopy (what that needs)',
  prepare: () =>
    Promise.resolve({
      cases: [
        ...SIZES.map((size) => sizeCase(size, 'loopback')),
        ...SIZES.map((size) => sizeCase(size, 'rig')),
      ],
    }),
};

export default benchmark;
