// The program: `sunstar-kv [options]`.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { formatSize, Runtime, ShardCrashedError, SunstarError } from '@sunstar/runtime';
import { pino } from 'pino';
import { DataDirectory } from './log/data-directory.js';
import { parseOptions, type ServerOptions } from './options.js';
import { createProgress, showProgress } from './progress.js';
import type { ShardData } from './shard.js';

/** Descriptors that are not for clients: the log, the rings, Node's own. */
const OTHER_DESCRIPTORS_BASE = 64;
const OTHER_DESCRIPTORS_PER_SHARD = 16;
/** A replay takes as long as it takes. */
const START_TIMEOUT_MS = 2 ** 31 - 1;
const MESSAGE_BASE_BYTES = 16 * 1024 * 1024;
const STOP_TIMEOUT_MS = 60_000;

/** How many files this process may have open. Node raises the soft limit to the hard one when it starts. */
function descriptorLimit(): number {
  const match = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  const limit = match === null ? Number.NaN : Number(match[1]);
  return Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit;
}

function boundByDescriptors(options: ServerOptions, logger: pino.Logger): ServerOptions {
  const limit = descriptorLimit();
  const most = limit - OTHER_DESCRIPTORS_BASE - OTHER_DESCRIPTORS_PER_SHARD * options.shards;
  if (options.maxClients <= most) return options;
  const maxClients = Math.max(1, most);
  logger.warn(
    { maxClients, descriptors: limit },
    `--max-clients is lowered: this process may open ${limit} files. Raise the limit (ulimit -n) for more clients`,
  );
  return { ...options, maxClients };
}

async function main(): Promise<void> {
  const parsed = parseOptions(process.argv.slice(2));
  const logger = pino({ level: parsed.logLevel, base: {} }, pino.destination({ dest: 2, sync: true }));
  const options = boundByDescriptors(parsed, logger);
  const directory = DataDirectory.open(options.data, options.shards);
  const progress = createProgress(options.shards);
  const port = new SharedArrayBuffer(4);
  const data: ShardData = {
    options,
    plan: directory.plan,
    openClients: new SharedArrayBuffer(4),
    progress,
    port,
  };
  const endProgress = await showProgress(directory.plan, progress);
  let runtime: Runtime;
  try {
    runtime = await Runtime.start({
      entry: new URL('./shard.js', import.meta.url),
      shards: options.shards,
      memory: options.memoryBytes,
      log: options.logLevel,
      idlePollUs: options.idlePollUs,
      data,
      mesh: { maxMessageBytes: messageBytes(options) },
      startTimeoutMs: START_TIMEOUT_MS,
      placement: options.placement,
      cpus: options.cpus,
      drainTimeoutMs: options.drainTimeoutMs,
      ...(options.metricsPort === undefined ? {} : { metrics: { port: options.metricsPort } }),
      stopTimeoutMs: STOP_TIMEOUT_MS,
    });
  } finally {
    endProgress();
  }
  announce(options, runtime, Atomics.load(new Int32Array(port), 0));
  await runtime.untilSignal();
  directory.close();
  logger.info('stopped');
}

/** A message between shards holds the largest command, or the reply with the largest value, and a batch of small ones. */
function messageBytes({ maxRequestBytes, maxValueBytes }: ServerOptions): number {
  return Math.min(2 ** 31 - 1, 2 * Math.max(maxRequestBytes, maxValueBytes) + MESSAGE_BASE_BYTES);
}

function announce(options: ServerOptions, runtime: Runtime, port: number): void {
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  const shards = runtime.shardCount === 1 ? '1 shard' : `${runtime.shardCount} shards`;
  const memory = formatSize(runtime.memoryPerShardBytes * runtime.shardCount);
  const elsewhere = options.host === '127.0.0.1' ? '' : ` -h ${options.host}`;
  const metrics =
    runtime.metricsPort === undefined ? '' : `  metrics at http://127.0.0.1:${runtime.metricsPort}/metrics\n`;
  process.stdout.write(
    `sunstar-kv listens on ${host}:${port}\n` +
      `  backend ${runtime.backend.backend}, ${shards}, ${memory} memory, fsync ${options.fsync}\n` +
      `  data in ${path.resolve(options.data)}\n` +
      metrics +
      `  try: redis-cli${elsewhere} -p ${port} set greeting hello\n`,
  );
}

/** The error that the user can do something about, without the shard that it happened on. */
function rootOf(error: unknown): unknown {
  return error instanceof ShardCrashedError && error.cause !== undefined ? error.cause : error;
}

try {
  await main();
} catch (error) {
  const cause = rootOf(error);
  const isExplained = cause instanceof SunstarError || (cause instanceof Error && 'code' in cause);
  process.stderr.write(
    `sunstar-kv: ${isExplained ? (cause as Error).message : ((cause as Error).stack ?? cause)}\n`,
  );
  process.exitCode = 1;
}
