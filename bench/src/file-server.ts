import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { allowedCpus } from '@sunstar/runtime';
import { startNginx } from './file-server/nginx.js';
import type { Benchmark, BenchmarkCase } from './harness/benchmark.js';
import { ServerProcess } from './harness/server-process.js';
import { type Island, loopbackIsland, type Wire, zeroCopyWire } from './zerocopy/rig.js';

// The client has one CPU, each server the other. On loopback the kernel copies what a zero-copy send would not, and
// sendfile need not copy at all.

const run = promisify(execFile);
const CONNECTIONS = 16;
const SECONDS = 2;
const WARM_UP_MS = 1000;
const SIZES = [
  { name: '100 KiB', bytes: 100 * 1024 },
  { name: '1 MiB', bytes: 2 ** 20 },
  { name: '10 MiB', bytes: 10 * 2 ** 20 },
];

/** Asks for one file again and again with wrk: GB/s and server CPU seconds per GB. */
async function download(
  server: ServerProcess,
  cpu: number,
  bytes: number,
  prefix: readonly string[],
): Promise<number[]> {
  const before = server.cpuSeconds();
  const { stdout } = await run('taskset', [
    ...['-c', String(cpu), ...prefix],
    ...['wrk', '-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '--timeout', '15s'],
    `http://127.0.0.1:${server.port}/file.bin`,
  ]);
  const after = server.cpuSeconds();
  const failed = /Non-2xx[^\n]*|Socket errors[^\n]*/.exec(stdout);
  if (failed !== null) throw new Error(`wrk: ${failed[0]}`);
  const gigabytes = (Number(/(\d+) requests in/.exec(stdout)?.[1]) * bytes) / 1e9;
  const seconds = after.user + after.kernel - before.user - before.kernel;
  return [gigabytes / SECONDS, seconds / gigabytes];
}

/** The first of the ports whose segments the far end of the wire takes, and how many each run has. */
const FIRST_PORT = 7777;
const PORTS_PER_RUN = 2000;
/** BBR, the default of some machines, paces with a timer for each piece: that would be most of what is measured. */
const CONGESTION_CONTROL = 'reno';
const DEFAULT_CONGESTION_CONTROL = readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();
let wireRuns = 0;

/**
 * Has a server send to the end of a wire that takes everything. The answers arrive nowhere, so nothing is left of a
 * copy that the reader would pay for: what a server on a real network pays. The server is started anew, because what it
 * was asked for keeps it sending after the requester has gone.
 */
async function sendOnWire(
  start: () => Promise<ServerProcess>,
  cpu: number,
  wire: Wire,
  bytes: number,
): Promise<readonly number[]> {
  const server = await start();
  const program = fileURLToPath(new URL('./file-server/requester.js', import.meta.url));
  // Sockets of earlier runs may be left for a while.
  const firstPort = FIRST_PORT + (wireRuns++ % 12) * PORTS_PER_RUN;
  const words = [...wire.far, 'taskset', '-c', cpu, process.execPath, program];
  const [command, ...rest] = [...words, wire.nearAddress, server.port, '/file.bin', bytes, firstPort].map(
    String,
  );
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
    await server.stop();
  }
}

const NAMES = ['sunstar', 'node:http, fs streams', 'nginx, sendfile'] as const;

/** Where files are sent: over loopback as the machine has it, with another congestion control, or over the wire. */
type Where = 'loopback' | 'reno' | 'rig';

function sizeCase(size: (typeof SIZES)[number], where: Where): BenchmarkCase {
  const [serverCpu, clientCpu] = allowedCpus();
  const servers: ServerProcess[] = [];
  let directory: string;
  let wire: Wire | undefined;
  let island: Island | undefined;
  const start = (index: number): Promise<ServerProcess> => {
    const prefix = wire?.near ?? island?.prefix ?? [];
    const host = wire?.nearAddress ?? '127.0.0.1';
    if (index === 2) return startNginx(serverCpu, directory, directory, host, prefix);
    const program = fileURLToPath(new URL('./file-server/servers.js', import.meta.url));
    const kind = index === 0 ? 'sunstar' : 'node';
    return ServerProcess.start(serverCpu, [...prefix, process.execPath, program, kind, directory, host]);
  };
  const measure = (index: number) => () =>
    wire === undefined
      ? download(servers[index], clientCpu, size.bytes, island?.prefix ?? [])
      : sendOnWire(() => start(index), clientCpu, wire, size.bytes);
  const names = {
    loopback: `loopback, ${DEFAULT_CONGESTION_CONTROL}`,
    reno: `loopback, ${CONGESTION_CONTROL}`,
    rig: `rig, ${CONGESTION_CONTROL}`,
  };
  const name = `${names[where]}, ${size.name}`;
  return {
    metrics: [
      { case: `${name}: rate`, unit: 'GB/s', higherIsBetter: true },
      { case: `${name}: server CPU`, unit: 's/GB', higherIsBetter: false },
    ],
    async setup() {
      if (clientCpu === undefined)
        throw new Error('this benchmark needs two CPUs: one for the server, one for the client');
      const parent = fileURLToPath(new URL('../build/', import.meta.url));
      mkdirSync(parent, { recursive: true });
      directory = mkdtempSync(join(parent, 'files-'));
      writeFileSync(join(directory, 'file.bin'), randomBytes(size.bytes));
      if (where === 'rig') {
        wire = await zeroCopyWire(CONGESTION_CONTROL);
        return;
      }
      if (where === 'reno') island = await loopbackIsland(CONGESTION_CONTROL);
      for (const index of NAMES.keys()) servers.push(await start(index));
    },
    async teardown() {
      for (const server of servers) await server.stop();
      await wire?.close();
      await island?.close();
      rmSync(directory, { recursive: true, force: true });
    },
    ours: measure(0),
    // Node begins all requests that it has received at once, and is hopelessly behind when they are not awaited.
    peers: (where === 'rig' ? [2] : [1, 2]).map((index) => ({ peer: NAMES[index], measure: measure(index) })),
    // Those on the wire are processes that warm themselves up.
    warmupRounds: where === 'rig' ? 0 : 1,
  };
}

/** Static files, over loopback and over a wire on which zero copy is real. */
const benchmark: Benchmark = {
  description:
    'examples/file-server against node:http with fs streams and nginx, on loopback with two congestion controls (needs wrk, nginx, and root for the second) and on the rig of zerocopy (what that needs)',
  prepare: () =>
    Promise.resolve({
      cases: [
        ...SIZES.map((size) => sizeCase(size, 'loopback')),
        ...(DEFAULT_CONGESTION_CONTROL === CONGESTION_CONTROL ? [] : SIZES).map((size) =>
          sizeCase(size, 'reno'),
        ),
        ...SIZES.map((size) => sizeCase(size, 'rig')),
      ],
    }),
};

export default benchmark;
