import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import path from 'node:path';
import { type Placement, parseSize } from '@sunstar/runtime';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { FsyncPolicy } from './log/shard-log.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** What the command line says; sizes in bytes, times in milliseconds. */
export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly shards: number;
  readonly memoryBytes: number;
  readonly data: string;
  readonly fsync: FsyncPolicy;
  readonly maxClients: number;
  readonly maxValueBytes: number;
  readonly maxRequestBytes: number;
  readonly maxOutputBytes: number;
  readonly idleTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  readonly clientOutputTimeoutMs: number;
  readonly compactionMinBytes: number;
  readonly compactionFactor: number;
  /** How long an idle shard looks for work before it sleeps, in microseconds. */
  readonly idlePollUs: number;
  /** Undefined: the runtime's default. */
  readonly placement: Placement | undefined;
  readonly cpus: string | undefined;
  readonly drainTimeoutMs: number;
  /** Where `/metrics` is served, on 127.0.0.1; undefined: nowhere. */
  readonly metricsPort: number | undefined;
  readonly repair: boolean;
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** The parser counts nine digits. */
const VALUE_BYTES_MAX = 512 * MIB;
const MEMORY_PER_SHARD_MIN = 32 * MIB;
const SECONDS_MAX = 1_000_000;

/** Version of this program. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
  };
}

function size(min: number, max: number): (text: string) => number {
  return (text) => {
    let bytes: number;
    try {
      bytes = parseSize(text);
    } catch {
      throw new InvalidArgumentError('Give a number of bytes or a size such as 512MiB.');
    }
    if (bytes >= min && bytes <= max) return bytes;
    throw new InvalidArgumentError(`Give a size from ${min} to ${max} bytes.`);
  };
}

function factor(text: string): number {
  const value = Number(text);
  if (value >= 1.1 && value <= 100) return value;
  throw new InvalidArgumentError('Give a number from 1.1 to 100.');
}

/** Half of what this process may use. */
function defaultMemory(): string {
  const constrained = process.constrainedMemory();
  const usable = constrained > 0 && constrained < totalmem() ? constrained : totalmem();
  return `${Math.max(MEMORY_PER_SHARD_MIN, Math.floor(usable / 2 / MIB) * MIB) / MIB}MiB`;
}

/**
 * Polling finds messages of other shards, and that a write is on the device, sooner than waking up would. Clients alone
 * are served with less work when the shard sleeps meanwhile: what comes together is handled together.
 */
function defaultIdlePollUs(shards: number, fsync: FsyncPolicy): number {
  const isWorthIt = shards > 1 || fsync === 'always';
  return isWorthIt && shards <= availableParallelism() ? 200 : 0;
}

interface Parsed {
  host: string;
  port: number;
  shards: number;
  memory: number;
  data: string;
  fsync: FsyncPolicy;
  maxClients: number;
  maxValue: number;
  maxRequest: number;
  maxOutput: number;
  timeout: number;
  handshakeTimeout: number;
  clientOutputTimeout: number;
  compactMin: number;
  compactFactor: number;
  idlePoll: number | undefined;
  placement: Placement | undefined;
  cpus: string | undefined;
  drainTimeout: number;
  metricsPort: number | undefined;
  repair: boolean;
  logLevel: ServerOptions['logLevel'];
}

function command(): Command {
  const option = (flags: string, description: string): Option => new Option(flags, description);
  return new Command('sunstar-kv')
    .description('A key-value server that speaks the Redis protocol: sharded over cores, durable.')
    .version(VERSION)
    .addOption(option('--host <address>', 'numeric address to listen on').default('127.0.0.1'))
    .addOption(
      option('-p, --port <number>', 'TCP port; 0 has the kernel choose one, with one shard')
        .default(6380)
        .argParser(integer(0, 65_535)),
    )
    .addOption(
      option('--shards <number>', 'shards, one thread each')
        .default(availableParallelism(), 'one for each CPU')
        .argParser(integer(1, 1024)),
    )
    .addOption(
      option('--memory <size>', 'memory of all shards together')
        .default(parseSize(defaultMemory()), `half of the machine's, here ${defaultMemory()}`)
        .argParser(size(MEMORY_PER_SHARD_MIN, 1024 * 4 * GIB)),
    )
    .addOption(option('--data <directory>', 'data directory').default('./data'))
    .addOption(
      option('--fsync <policy>', 'when writes reach the device')
        .choices(['always', 'everysec', 'no'])
        .default('everysec'),
    )
    .addOption(
      option('--max-clients <number>', 'open connections').default(10_000).argParser(integer(1, 1_000_000)),
    )
    .addOption(
      option('--max-value <size>', 'largest value')
        .default(32 * MIB, '32MiB')
        .argParser(size(1024, VALUE_BYTES_MAX)),
    )
    .addOption(
      option('--max-request <size>', 'largest command with all its arguments')
        .default(64 * MIB, '64MiB')
        .argParser(size(1024, 2 * VALUE_BYTES_MAX)),
    )
    .addOption(
      option('--max-output <size>', 'replies that may wait for a client before it is read no further')
        .default(MIB, '1MiB')
        .argParser(size(1024, GIB)),
    )
    .addOption(
      option('--timeout <seconds>', 'close clients that are idle for so long; 0 is never')
        .default(0)
        .argParser(integer(0, SECONDS_MAX)),
    )
    .addOption(
      option('--handshake-timeout <seconds>', 'close clients that send no command for so long; 0 is never')
        .default(60)
        .argParser(integer(0, SECONDS_MAX)),
    )
    .addOption(
      option('--client-output-timeout <seconds>', 'close clients that read no reply for so long; 0 is never')
        .default(60)
        .argParser(integer(0, SECONDS_MAX)),
    )
    .addOption(
      option('--compact-min <size>', 'the log of a shard is not compacted below this size')
        .default(64 * MIB, '64MiB')
        .argParser(size(0, 1024 * GIB)),
    )
    .addOption(
      option('--compact-factor <number>', 'the log is compacted when it is so many times the live data')
        .default(2)
        .argParser(factor),
    )
    .addOption(
      option('--idle-poll <microseconds>', 'how long an idle shard looks for work before it sleeps')
        .default(undefined, '200 with several shards or --fsync always and a CPU for each shard, otherwise 0')
        .argParser(integer(0, 1_000_000)),
    )
    .addOption(
      option('--placement <strategy>', 'where the shards run').choices([
        'max-spread',
        'max-pack',
        'fenced',
        'unbound',
      ]),
    )
    .addOption(option('--cpus <list>', 'the CPUs that shards may use, such as 0-3,8'))
    .addOption(
      option('--drain-timeout <seconds>', 'how long a stop waits for commands that have begun')
        .default(10)
        .argParser(integer(0, SECONDS_MAX)),
    )
    .addOption(
      option(
        '--metrics-port <number>',
        'serve metrics for Prometheus on 127.0.0.1; 0 has the kernel choose the port',
      ).argParser(integer(0, 65_535)),
    )
    .addOption(
      option('--repair', 'start although a log file is damaged, with what is whole of it').default(false),
    )
    .addOption(option('--log-level <level>', 'what is logged').choices(LOG_LEVELS).default('info'));
}

/**
 * Reads the command line. Prints help, the version or what is wrong, and ends the process then.
 *
 * @param args - Without the names of node and of the program.
 */
export function parseOptions(args: readonly string[]): ServerOptions {
  const program = command().parse(args, { from: 'user' });
  const parsed = program.opts<Parsed>();
  if (parsed.memory / parsed.shards < MEMORY_PER_SHARD_MIN) {
    program.error(
      `error: ${parsed.shards} shards need at least ${(parsed.shards * MEMORY_PER_SHARD_MIN) / MIB}MiB; raise --memory`,
    );
  }
  if (parsed.port === 0 && parsed.shards > 1) {
    program.error('error: --port 0 goes with --shards 1: several shards must know which port they share');
  }
  if (parsed.maxRequest < parsed.maxValue) {
    program.error('error: --max-request must not be smaller than --max-value');
  }
  return {
    host: parsed.host,
    port: parsed.port,
    shards: parsed.shards,
    memoryBytes: parsed.memory,
    data: path.resolve(parsed.data),
    fsync: parsed.fsync,
    maxClients: parsed.maxClients,
    maxValueBytes: parsed.maxValue,
    maxRequestBytes: parsed.maxRequest,
    maxOutputBytes: parsed.maxOutput,
    idleTimeoutMs: parsed.timeout * 1000,
    handshakeTimeoutMs: parsed.handshakeTimeout * 1000,
    clientOutputTimeoutMs: parsed.clientOutputTimeout * 1000,
    compactionMinBytes: parsed.compactMin,
    compactionFactor: parsed.compactFactor,
    idlePollUs: parsed.idlePoll ?? defaultIdlePollUs(parsed.shards, parsed.fsync),
    placement: parsed.placement,
    cpus: parsed.cpus,
    drainTimeoutMs: parsed.drainTimeout * 1000,
    metricsPort: parsed.metricsPort,
    repair: parsed.repair,
    logLevel: parsed.logLevel,
  };
}
