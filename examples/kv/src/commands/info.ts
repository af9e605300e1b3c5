import type { ReplyWriter } from '../resp/index.js';
import { needsSubcommand, textOf } from './arguments.js';
import { type Command, CommandFlag, commandsOf } from './command.js';
import { REDIS_VERSION } from './connection.js';
import type { CommandContext, InfoLine } from './context.js';

/** Order and titles of INFO's sections. */
const SECTIONS: Readonly<Record<string, string>> = {
  server: 'Server',
  clients: 'Clients',
  memory: 'Memory',
  persistence: 'Persistence',
  stats: 'Stats',
  replication: 'Replication',
  cpu: 'CPU',
  cluster: 'Cluster',
  keyspace: 'Keyspace',
};

const EVERYTHING = new Set(['default', 'all', 'everything']);

/** What one shard counts. */
export function shardCounters(context: CommandContext): InfoLine<number>[] {
  const { store } = context;
  const { hits, misses, expired } = store.stats;
  const line = (section: string, name: string, value: number): InfoLine<number> => ({ section, name, value });
  return [
    line('memory', 'used_memory', store.usedBytes),
    line('memory', 'maxmemory', Number.isFinite(store.maxBytes) ? store.maxBytes : 0),
    line('stats', 'total_commands_processed', context.commandsProcessed),
    line('stats', 'expired_keys', expired),
    line('stats', 'keyspace_hits', hits),
    line('stats', 'keyspace_misses', misses),
    line('keyspace', 'keys', store.size),
    line('keyspace', 'expires', store.expiringCount),
    ...context.server.counters(),
  ];
}

/** What holds for the whole process. A line of the server's replaces one of the same name here. */
function facts(context: CommandContext): InfoLine<string>[] {
  const { user, system } = process.cpuUsage();
  const own: readonly (readonly [string, string, string])[] = [
    ['server', 'redis_version', REDIS_VERSION],
    ['server', 'redis_mode', 'standalone'],
    ['server', 'sunstar_version', context.server.version],
    ['server', 'shards', String(context.shardCount)],
    ['server', 'os', `${process.platform} ${process.arch}`],
    ['server', 'process_id', String(process.pid)],
    ['memory', 'maxmemory_policy', 'noeviction'],
    ['persistence', 'loading', '0'],
    ['replication', 'role', 'master'],
    ['replication', 'connected_slaves', '0'],
    ['cpu', 'used_cpu_sys', (system / 1e6).toFixed(6)],
    ['cpu', 'used_cpu_user', (user / 1e6).toFixed(6)],
    ['cluster', 'cluster_enabled', '0'],
  ];
  const servers = context.server.facts();
  const replaced = new Set(servers.map(({ name }) => name));
  return [
    ...own
      .filter(([, name]) => !replaced.has(name))
      .map(([section, name, value]) => ({ section, name, value })),
    ...servers,
  ];
}

/** The sections that a command names; all when it names none. */
export function wantedSections(context: CommandContext, argv: Uint32Array, argc: number): Set<string> {
  const wanted = new Set<string>();
  for (let index = 1; index < argc; index++) {
    const name = textOf(context, argv, index).toLowerCase();
    for (const section of EVERYTHING.has(name) ? Object.keys(SECTIONS) : [name]) wanted.add(section);
  }
  return wanted.size > 0 || argc > 1 ? wanted : new Set(Object.keys(SECTIONS));
}

/** A number of bytes as INFO's `…_human` lines show it. */
function human(bytes: number): string {
  const units = ['B', 'K', 'M', 'G', 'T'];
  const unit = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${(bytes / 1024 ** unit).toFixed(unit === 0 ? 0 : 2)}${units[unit]}`;
}

/** Adds up the counters of several shards, line by line. */
export function sumCounters(shards: readonly (readonly InfoLine<number>[])[]): InfoLine<number>[] {
  const sums = new Map<string, InfoLine<number>>();
  for (const { section, name, value } of shards.flat()) {
    sums.set(name, { section, name, value: (sums.get(name)?.value ?? 0) + value });
  }
  return [...sums.values()];
}

/** The text of INFO. */
export function infoText(
  context: CommandContext,
  sections: ReadonlySet<string>,
  counters: readonly InfoLine<number>[],
): string {
  const parts: string[] = [];
  const lines = facts(context);
  for (const [section, title] of Object.entries(SECTIONS)) {
    if (!sections.has(section)) continue;
    const own = counters.filter((line) => line.section === section);
    const text = lines
      .filter((line) => line.section === section)
      .map(({ name, value }) => `${name}:${value}\r\n`);
    if (section === 'keyspace') {
      const value = (name: string): number => own.find((line) => line.name === name)?.value ?? 0;
      if (value('keys') > 0) text.push(`db0:keys=${value('keys')},expires=${value('expires')},avg_ttl=0\r\n`);
    } else {
      for (const { name, value } of own) {
        text.push(`${name}:${value}\r\n`);
        if (section === 'memory') text.push(`${name}_human:${human(value)}\r\n`);
      }
    }
    parts.push(`# ${title}\r\n${text.join('')}`);
  }
  return parts.join('\r\n');
}

function info(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  reply.verbatim(infoText(context, wantedSections(context, argv, argc), shardCounters(context)));
}

/** Internal: this shard's counters as JSON, for INFO of several shards. */
function counters(context: CommandContext, _argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  reply.bulkText(JSON.stringify(shardCounters(context)));
}

function time(_context: CommandContext, _argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const microseconds = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  reply.array(2);
  reply.bulkText(String(Math.floor(microseconds / 1e6)));
  reply.bulkText(String(microseconds % 1e6));
}

/** A pause longer than a day is a mistake. */
const SLEEP_SECONDS_MAX = 86_400;

/**
 * `DEBUG SLEEP seconds`: pauses this connection. Redis stops as a whole; a shard goes on serving its other
 * connections.
 */
function debugSleep(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const text = textOf(context, argv, 2);
  const seconds = text.trim() === '' ? Number.NaN : Number(text);
  if (!(seconds >= 0 && seconds <= SLEEP_SECONDS_MAX)) {
    reply.error('ERR value is not a valid float');
    return;
  }
  context.client.pauseMs = seconds * 1000;
  reply.ok();
}

const define = commandsOf('server');
const random = { flags: CommandFlag.Fast | CommandFlag.Random } as const;
const admin = { flags: CommandFlag.Admin } as const;

const DEBUG_COMMANDS: readonly Command[] = [
  define('debug|sleep', 3, debugSleep, admin, '1.0.0', 'O(1)', 'Answers after a pause in seconds.'),
];

export const INFO_COMMANDS: readonly Command[] = [
  define('info', -1, info, { spread: 'all-info' }, '1.0.0', 'O(n), n shards', 'Describes the server.'),
  define('time', 1, time, random, '2.6.0', 'O(1)', 'Returns the time: seconds since 1970, and microseconds.'),
  define(
    'debug',
    -2,
    needsSubcommand,
    { subcommands: DEBUG_COMMANDS },
    '1.0.0',
    'Depends on the subcommand.',
    'Commands for tests.',
  ),
];

export const INTERNAL_INFO_COMMANDS: readonly Command[] = [
  define('counters', 1, counters, {}, '0.0.0', 'O(1)', 'Returns the counters of one shard.'),
];
