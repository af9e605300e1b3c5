import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { allowedCpus } from '@sunstar/runtime';
import type { LoadResult } from './echo/load.js';
import { EchoServer } from './echo/server-process.js';
import type { Benchmark, BenchmarkCase } from './harness/benchmark.js';
import { bun } from './harness/bun.js';

const FIRST_PORT = 16_400;
const WARM_UP_MS = 300;
const DURATION_MS = 800;
const CONNECTIONS = [1, 50, 256];
const PIPELINES = [1, 16, 64];
/** Less than the kernel's clock for CPU time can tell. */
const FLOOR_US = 0.001;

function file(name: string): string {
  return fileURLToPath(new URL(`./echo/${name}.js`, import.meta.url));
}

/** Loads a server from one CPU; the figures of {@link echoCase}. */
async function measure(
  server: EchoServer,
  clientCpu: number,
  connections: number,
  pipeline: number,
): Promise<number[]> {
  const load = [file('load'), server.port, connections, pipeline, WARM_UP_MS, DURATION_MS].map(String);
  const child = spawn('taskset', ['-c', String(clientCpu), process.execPath, ...load], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let before = server.cpuSeconds();
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'begin') {
      before = server.cpuSeconds();
      continue;
    }
    const after = server.cpuSeconds();
    const { messages, seconds, p50Ms, p99Ms } = JSON.parse(line) as LoadResult;
    const userUs = Math.max(FLOOR_US, ((after.user - before.user) * 1e6) / messages);
    const kernelUs = Math.max(FLOOR_US, ((after.kernel - before.kernel) * 1e6) / messages);
    return [messages / seconds, userUs + kernelUs, userUs, kernelUs, p50Ms, p99Ms];
  }
  throw new Error('the load generator did not finish');
}

function echoCase(
  servers: readonly (readonly [string, EchoServer])[],
  clientCpu: number,
  connections: number,
  pipeline: number,
): BenchmarkCase {
  const name = `${connections} connection${connections === 1 ? '' : 's'}, pipeline ${pipeline}`;
  const [[, ours], ...peers] = servers;
  return {
    metrics: [
      { case: name, unit: 'messages/s', higherIsBetter: true },
      { case: `${name}, server CPU`, unit: 'µs/message', higherIsBetter: false },
      { case: `${name}, server CPU, user`, unit: 'µs/message', higherIsBetter: false },
      { case: `${name}, server CPU, kernel`, unit: 'µs/message', higherIsBetter: false },
      { case: `${name}, p50`, unit: 'ms', higherIsBetter: false },
      { case: `${name}, p99`, unit: 'ms', higherIsBetter: false },
    ],
    ours: () => measure(ours, clientCpu, connections, pipeline),
    peers: peers.map(([peer, server]) => ({
      peer,
      measure: () => measure(server, clientCpu, connections, pipeline),
    })),
  };
}

/** Framed messages of 64 bytes there and back: what a server pays for each. */
const benchmark: Benchmark = {
  description:
    'echo of framed 64-byte messages, server on one CPU, client on the other: node:net, Bun.listen',
  async prepare() {
    const [serverCpu, clientCpu] = allowedCpus();
    if (clientCpu === undefined) throw new Error('this benchmark needs two CPUs');
    const servers: [string, EchoServer][] = [];
    const start = async (name: string, command: readonly string[]): Promise<void> => {
      servers.push([name, await EchoServer.start(serverCpu, FIRST_PORT + servers.length, command)]);
    };
    await start('sunstar', [process.execPath, file('server-sunstar')]);
    await start('node:net', [process.execPath, file('server-node')]);
    await start('Bun.listen', [await bun(), file('server-bun')]);
    return {
      cases: CONNECTIONS.flatMap((connections) =>
        PIPELINES.map((pipeline) => echoCase(servers, clientCpu, connections, pipeline)),
      ),
      async teardown() {
        for (const [, server] of servers) await server.stop();
      },
    };
  },
};

export default benchmark;
