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
const SECONDS = 2;
const WARM_UP_MS = 1000;
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

/** The ports whose segments the far end of the wire takes. */
const FIRST_PORT = 7777;
const WIRE_CONNECTIONS = 4;
/** BBR, the default of some machines, paces with a timer for each piece: that would be most of what is measured. */
const CONGESTION_CONTROL = 'reno';
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
): Promise<readonly number[]> {
  const server = await start();
  const program = fileURLToPath(new URL('./file-server/requester.js', import.meta.url));
  // Sockets of the last run may be left for a moment.
  const firstPort = FIRST_PORT + (wireRuns++ % 5) * WIRE_CONNECTIONS;
  const words = [...wire.far, 'taskset', '-c', cpu, process.execPath, program];
  const [command, ...rest] = [
    ...words,
    ...[wire.nearAddress, server.port, '/file.bin', WIRE_CONNECTIONS, firstPort],
  ].map(String);
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

function sizeCase(size: (typeof SIZES)[number], where: 'loopback' | 'rig'): BenchmarkCase {
  const [serverCpu, clientCpu] = allowedCpus();
  const servers: ServerProcess[] = [];
  let directory: string;
  let wire: Wire | undefined;
  const start = (index: number): Promise<ServerProcess> => {
    const prefix = wire?.near ?? [];
    const host = wire?.nearAddress ?? '127.0.0.1';
    if (index === 2) return startNginx(serverCpu, directory, directory, host, prefix);
    const program = fileURLToPath(new URL('./file-server/servers.js', import.meta.url));
    const kind = index === 0 ? 'sunstar' : 'node';
    return ServerProcess.start(serverCpu, [...prefix, process.execPath, program, kind, directory, host]);
  };
  const measure = (index: number) => () =>
    wire === undefined
      ? download(servers[index], clientCpu, 'file.bin', size.bytes)
      : sendOnWire(() => start(index), clientCpu, wire);
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
      if (where === 'rig') wire = await zeroCopyWire(CONGESTION_CONTROL);
      else for (const index of NAMES.keys()) servers.push(await start(index));
    },
    async teardown() {
      for (const server of servers) await server.stop();
      await wire?.close();
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
    'examples/file-server against node:http with fs streams and nginx, on loopback (needs wrk and nginx) and on the rig of zerocopy (what that needs)',
  prepare: () =>
    Promise.resolve({
      cases: [
        ...SIZES.map((size) => sizeCase(size, 'loopback')),
        // The server drops requests whose acknowledgements are too old, so of smaller files it would soon have none to send.
        ...SIZES.slice(-1).map((size) => sizeCase(size, 'rig')),
      ],
    }),
};

export default benchmark;
