import { fileURLToPath } from 'node:url';
import { allowedCpus } from '@sunstar/runtime';
import type { Benchmark, BenchmarkCase, Metric } from './harness/benchmark.js';
import { bun } from './harness/bun.js';
import { ServerProcess } from './harness/server-process.js';
import { sendRequests } from './http/load.js';

// The client has one CPU, each server the other. The CPU time of the server per request moves less with the noise of
// the machine than the rate does.

/** How to start a server. */
interface Program {
  readonly name: string;
  command(): Promise<readonly string[]>;
}

function node(kind: string, name = kind): Program {
  const program = fileURLToPath(new URL('./http/servers.js', import.meta.url));
  return { name, command: () => Promise.resolve([process.execPath, program, kind]) };
}

function bunServer(kind: string): Program {
  const program = fileURLToPath(new URL('./http/bun-servers.js', import.meta.url));
  return { name: `Bun.${kind}`, command: async () => [await bun(), program, kind] };
}

function metrics(name: string): Metric[] {
  return [
    { case: `${name}: rate`, unit: 'requests/s', higherIsBetter: true },
    { case: `${name}: server CPU`, unit: 'µs/request', higherIsBetter: false },
    { case: `${name}: server CPU outside the kernel`, unit: 'µs/request', higherIsBetter: false },
    { case: `${name}: p99`, unit: 'ms', higherIsBetter: false },
  ];
}

function compare(name: string, connections: number, ours: Program, peers: readonly Program[]): BenchmarkCase {
  const [serverCpu, clientCpu] = allowedCpus();
  const servers = new Map<Program, ServerProcess>();
  const measure = (program: Program) => async (): Promise<number[]> => {
    const server = servers.get(program);
    if (server === undefined) throw new Error(`${program.name} does not run`);
    return sendRequests(server, clientCpu, connections);
  };
  return {
    metrics: metrics(`${name}, ${connections} connections`),
    async setup() {
      if (clientCpu === undefined)
        throw new Error('this benchmark needs two CPUs: one for the server, one for the client');
      for (const program of [ours, ...peers]) {
        servers.set(program, await ServerProcess.start(serverCpu, await program.command()));
      }
    },
    async teardown() {
      for (const server of servers.values()) await server.stop();
    },
    ours: measure(ours),
    peers: peers.map((peer) => ({ peer: peer.name, measure: measure(peer) })),
  };
}

/** Small HTTP responses from one core, asked for by wrk on another. */
const benchmark: Benchmark = {
  description:
    'small HTTP responses: examples/http, node:http on our sockets, and a fixed reply, against Node and Bun (needs wrk)',
  prepare() {
    const cases = [50, 256].flatMap((connections) => [
      compare('HTTP parsed', connections, node('hello'), [node('node:http'), bunServer('serve')]),
      compare('node:http on our sockets', connections, node('duplex'), [node('node:http')]),
      compare('fixed reply', connections, node('fixed'), [node('node:net'), bunServer('listen')]),
    ]);
    return Promise.resolve({ cases });
  },
};

export default benchmark;
