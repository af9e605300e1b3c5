import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ServerProcess } from './server.js';

const run = promisify(execFile);

/** What redis-benchmark sends. */
export interface Load {
  readonly command: 'get' | 'set';
  /** Requests that a connection sends before it waits for their replies. */
  readonly pipeline: number;
  readonly requests: number;
}

const CONNECTIONS = 50;
const VALUE_BYTES = 16;
const KEYS = 100_000;

/** Sends a load from one CPU; gives requests/s, the server's CPU µs per request, and p99 in ms. */
export async function sendLoad(server: ServerProcess, clientCpu: number, load: Load): Promise<number[]> {
  const cpuBefore = server.cpuSeconds();
  const { stdout } = await run('taskset', [
    ...['-c', String(clientCpu), 'redis-benchmark', '-p', String(server.port), '--csv'],
    ...['-c', String(CONNECTIONS), '-d', String(VALUE_BYTES), '-r', String(KEYS)],
    ...['-t', load.command, '-P', String(load.pipeline), '-n', String(load.requests)],
  ]);
  const cpuUs = ((server.cpuSeconds() - cpuBefore) * 1e6) / load.requests;
  const [names, values] = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(',').map((cell) => cell.replaceAll('"', '')));
  const field = (name: string): number => Number(values[names.indexOf(name)]);
  return [field('rps'), cpuUs, field('p99_latency_ms')];
}
