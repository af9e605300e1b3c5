import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allowedCpus } from '@sunstar/runtime';
import type { Benchmark, BenchmarkCase, Metric } from './harness/benchmark.js';
import { type Load, sendLoad } from './kv/load.js';
import { ServerProcess } from './kv/server.js';

// The client has one CPU, each server the other: whoever is slower decides the rate, which is the server with a
// pipeline, and nearly always the client without one. The server's CPU time per request tells them apart then.
const OUR_PORT = 16_380;
const REDIS_PORT = 16_381;

interface Setting {
  readonly fsync: 'no' | 'always';
  readonly redis: readonly string[];
  readonly peer: string;
}

const IN_MEMORY: Setting = {
  fsync: 'no',
  redis: ['--appendonly', 'no'],
  peer: 'redis-server (appendonly no)',
};

const DURABLE: Setting = {
  fsync: 'always',
  redis: ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0'],
  peer: 'redis-server (appendfsync always)',
};

function metrics(name: string): Metric[] {
  return [
    { case: name, unit: 'requests/s', higherIsBetter: true },
    { case: `${name}, server CPU`, unit: 'µs/request', higherIsBetter: false },
    { case: `${name}, p99`, unit: 'ms', higherIsBetter: false },
  ];
}

function loadCase(name: string, setting: Setting, load: Load): BenchmarkCase {
  const [serverCpu, clientCpu] = allowedCpus();
  let directory: string;
  let ours: ServerProcess;
  let redis: ServerProcess;
  return {
    metrics: metrics(name),
    async setup() {
      if (clientCpu === undefined)
        throw new Error('this benchmark needs two CPUs: one for the server, one for the client');
      // Beside the build and not in the temporary directory, which may be in memory.
      const parent = fileURLToPath(new URL('../build/', import.meta.url));
      mkdirSync(parent, { recursive: true });
      directory = mkdtempSync(join(parent, 'kv-'));
      const main = fileURLToPath(import.meta.resolve('@sunstar/example-kv/main'));
      ours = await ServerProcess.start(serverCpu, OUR_PORT, [
        ...[process.execPath, main, '--port', String(OUR_PORT), '--shards', '1', '--memory', '1GiB'],
        ...['--data', join(directory, 'ours'), '--fsync', setting.fsync, '--log-level', 'warn'],
      ]);
      mkdirSync(join(directory, 'redis'));
      redis = await ServerProcess.start(serverCpu, REDIS_PORT, [
        ...['redis-server', '--port', String(REDIS_PORT), '--save', '', '--dir', join(directory, 'redis')],
        ...setting.redis,
      ]);
      if (load.command === 'set') return;
      const fill: Load = { command: 'set', pipeline: 16, requests: 300_000 };
      await sendLoad(ours, clientCpu, fill);
      await sendLoad(redis, clientCpu, fill);
    },
    async teardown() {
      await ours?.stop();
      await redis?.stop();
      rmSync(directory, { recursive: true, force: true });
    },
    ours: () => sendLoad(ours, clientCpu, load),
    peers: [{ peer: setting.peer, measure: () => sendLoad(redis, clientCpu, load) }],
  };
}

/** The key-value server on one core against redis-server, with redis-benchmark on another core. */
const benchmark: Benchmark = {
  description:
    'examples/kv with one shard against redis-server: GET and SET, pipelined, durable (needs redis-tools, redis-server)',
  prepare() {
    const cases = [
      loadCase('GET, 50 connections', IN_MEMORY, { command: 'get', pipeline: 1, requests: 200_000 }),
      loadCase('SET, 50 connections', IN_MEMORY, { command: 'set', pipeline: 1, requests: 200_000 }),
      loadCase('GET, pipeline 16', IN_MEMORY, { command: 'get', pipeline: 16, requests: 1_500_000 }),
      loadCase('SET, pipeline 16', IN_MEMORY, { command: 'set', pipeline: 16, requests: 1_500_000 }),
      loadCase('SET durable', DURABLE, { command: 'set', pipeline: 1, requests: 60_000 }),
    ];
    return Promise.resolve({ cases });
  },
};

export default benchmark;
