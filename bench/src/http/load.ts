import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ServerProcess } from '../harness/server-process.js';

const run = promisify(execFile);

/** Seconds of load that are counted, after as many as compilers need to settle. */
const SECONDS = 2;
const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };

/** Sends requests from one CPU with wrk: requests/s, server CPU µs per request (all, user, kernel), p99 in ms. */
export async function sendRequests(
  server: ServerProcess,
  clientCpu: number,
  connections: number,
): Promise<number[]> {
  const before = server.cpuSeconds();
  const { stdout } = await run('taskset', [
    ...[
      '-c',
      String(clientCpu),
      'wrk',
      '-t1',
      `-c${connections}`,
      `-d${SECONDS}s`,
      '--timeout',
      '15s',
      '--latency',
    ],
    `http://127.0.0.1:${server.port}/`,
  ]);
  const after = server.cpuSeconds();
  const failed = /Non-2xx[^\n]*|Socket errors[^\n]*/.exec(stdout);
  if (failed !== null) throw new Error(`wrk: ${failed[0]}`);
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const [, p99, unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? [];
  const perRequest = (seconds: number): number => (seconds * 1e6) / requests;
  const user = perRequest(after.user - before.user);
  const kernel = perRequest(after.kernel - before.kernel);
  return [
    Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    user + kernel,
    user,
    Number(p99) * UNITS[unit],
  ];
}
