import type { ReplyWriter } from '../resp/index.js';
import { type EntryVisitor, KEY_BYTES_MAX, NONE } from '../store/index.js';
import {
  integerOf,
  isWord,
  keyTooLong,
  NO_SUCH_KEY,
  NOT_AN_INTEGER,
  OUT_OF_MEMORY,
  replyValue,
  SYNTAX_ERROR,
  word,
} from './arguments.js';
import { type Command, CommandFlag, commandsOf, ONE_KEY, TWO_KEYS } from './command.js';
import type { CommandContext } from './context.js';
import { type ByteRange, globMatches } from './glob.js';

/** A cursor is `shard × 2^32 + position`, where the position is the store's cursor. */
export const CURSORS_PER_SHARD: number = 2 ** 32;
export const INVALID_CURSOR = 'ERR invalid cursor';

const SCAN_COUNT_DEFAULT = 10;
/** SCAN looks at this many buckets for each element that is asked for, full or empty, and then returns. */
const BUCKETS_PER_ELEMENT = 10;

const MATCH = word('match');
const COUNT = word('count');
const TYPE = word('type');
const STRING = word('string');
const SYNC = word('sync');
const ASYNC = word('async');

/** Collects the keys that match a pattern. */
class KeyCollector implements EntryVisitor {
  readonly found: number[] = [];
  readonly #context: CommandContext;
  readonly #pattern: ByteRange | null;
  visited = 0;

  /** @param pattern - null for all keys. */
  constructor(context: CommandContext, pattern: ByteRange | null) {
    this.#context = context;
    this.#pattern = pattern;
  }

  visit(entry: number): void {
    this.visited++;
    const { store, bytes } = this.#context;
    if (store.isExpired(entry)) return;
    const pattern = this.#pattern;
    const { entries } = store;
    if (
      pattern !== null &&
      !globMatches(pattern, bytes, entries.keyOffset(entry), entries.keyLength(entry))
    ) {
      return;
    }
    this.found.push(entry);
  }

  /** Replies with an array of the keys. */
  reply(reply: ReplyWriter): void {
    const { entries } = this.#context.store;
    reply.array(this.found.length);
    for (const entry of this.found) reply.bulk(entries.keyOffset(entry), entries.keyLength(entry));
  }
}

/** The argument as a pattern; null for `*`, which matches everything. */
function patternOf(context: CommandContext, argv: Uint32Array, index: number): ByteRange | null {
  const offset = argv[2 * index];
  const length = argv[2 * index + 1];
  if (length === 1 && context.bytes[offset] === 0x2a) return null;
  return { bytes: context.bytes, offset, length };
}

function keys(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const collector = new KeyCollector(context, patternOf(context, argv, 1));
  let cursor = 0;
  do cursor = context.store.scan(cursor, collector);
  while (cursor !== 0);
  collector.reply(reply);
}

/** The shard that a cursor belongs to; −1 when it is none of ours. Argument 1. */
export function cursorShard(context: CommandContext, argv: Uint32Array): number {
  const cursor = integerOf(context, argv, 1);
  const shard = Math.floor(cursor / CURSORS_PER_SHARD);
  return shard >= 0 && shard < context.shardCount ? shard : -1;
}

function scan(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  if (cursorShard(context, argv) !== context.shardId) {
    reply.error(INVALID_CURSOR);
    return;
  }
  let pattern: ByteRange | null = null;
  let count = SCAN_COUNT_DEFAULT;
  let strings = true;
  for (let index = 2; index < argc; index += 2) {
    const hasValue = index + 1 < argc;
    if (hasValue && isWord(context, argv, index, MATCH)) {
      pattern = patternOf(context, argv, index + 1);
    } else if (hasValue && isWord(context, argv, index, COUNT)) {
      count = integerOf(context, argv, index + 1);
      if (Number.isNaN(count) || count < 1) {
        reply.error(Number.isNaN(count) ? NOT_AN_INTEGER : SYNTAX_ERROR);
        return;
      }
    } else if (hasValue && isWord(context, argv, index, TYPE)) {
      strings = isWord(context, argv, index + 1, STRING);
    } else {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }

  const { store, shardId, shardCount } = context;
  const collector = new KeyCollector(context, pattern);
  let cursor = integerOf(context, argv, 1) % CURSORS_PER_SHARD;
  let buckets = count * BUCKETS_PER_ELEMENT;
  do cursor = store.scan(cursor, collector);
  while (cursor !== 0 && collector.visited < count && --buckets > 0);
  let next = shardId * CURSORS_PER_SHARD + cursor;
  // The end of this shard is the beginning of the next one; the end of the last is 0.
  if (cursor === 0) next = shardId + 1 < shardCount ? (shardId + 1) * CURSORS_PER_SHARD : 0;
  reply.array(2);
  reply.bulkText(String(next));
  if (strings) collector.reply(reply);
  else reply.array(0);
}

function type(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  reply.simple(context.store.find(argv[2], argv[3]) === NONE ? 'none' : 'string');
}

function randomkey(context: CommandContext, _argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store } = context;
  const entry = store.randomEntry();
  if (entry === NONE) reply.nil();
  else reply.bulk(store.entries.keyOffset(entry), store.entries.keyLength(entry));
}

function rename(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store, bytes } = context;
  if (argv[5] > KEY_BYTES_MAX) {
    reply.error(keyTooLong(argv[5]));
    return;
  }
  const entry = store.find(argv[2], argv[3]);
  if (entry === NONE) {
    reply.error(NO_SUCH_KEY);
    return;
  }
  const same = bytes.compare(bytes, argv[4], argv[4] + argv[5], argv[2], argv[2] + argv[3]) === 0;
  if (same || store.rename(entry, argv[4], argv[5])) reply.ok();
  else reply.error(OUT_OF_MEMORY);
}

function dbsize(context: CommandContext, _argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  reply.integer(context.store.size);
}

/** `FLUSHDB [ASYNC | SYNC]`; FLUSHALL is the same, since there is one database. */
function flush(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  const async = argc > 1 && isWord(context, argv, 1, ASYNC);
  if (argc > 2 || (argc === 2 && !async && !isWord(context, argv, 1, SYNC))) reply.error(SYNTAX_ERROR);
  else if (context.store.clear(!async)) reply.ok();
  else reply.error(OUT_OF_MEMORY);
}

/**
 * Internal: the value of a key and its expiry in ms (0 for none), or an array of no elements. It is how a key
 * moves to another shard.
 */
function dump(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store } = context;
  const entry = store.find(argv[2], argv[3]);
  if (entry === NONE) {
    reply.array(0);
    return;
  }
  reply.array(2);
  reply.integer(store.entries.expireAtMs(entry));
  replyValue(context, entry, reply);
}

const define = commandsOf('generic');
const server = commandsOf('server');
const { Write, ReadOnly, Fast, Random } = CommandFlag;
const readKey = { flags: ReadOnly | Fast, keys: ONE_KEY, spread: 'key' } as const;

export const KEY_COMMANDS: readonly Command[] = [
  define('type', 2, type, readKey, '1.0.0', 'O(1)', 'Says whether a key exists: string or none.'),
  define(
    'keys',
    2,
    keys,
    { flags: ReadOnly, spread: 'all-concat' },
    '1.0.0',
    'O(n), n keys in all',
    'Returns the keys that match a glob.',
  ),
  define(
    'scan',
    -2,
    scan,
    { flags: ReadOnly, spread: 'cursor' },
    '2.8.0',
    'O(1) a call',
    'Returns some of the keys, and a cursor for the rest.',
  ),
  define(
    'randomkey',
    1,
    randomkey,
    { flags: ReadOnly | Random, spread: 'all-pick' },
    '1.0.0',
    'O(1)',
    'Returns a random key.',
  ),
  define(
    'rename',
    3,
    rename,
    { flags: Write, keys: TWO_KEYS, spread: 'rename' },
    '1.0.0',
    'O(1), O(n) to another shard',
    'Gives a value another key.',
  ),
  server(
    'dbsize',
    1,
    dbsize,
    { flags: ReadOnly | Fast, spread: 'all-sum' },
    '1.0.0',
    'O(1)',
    'Counts the keys.',
  ),
  server(
    'flushdb',
    -1,
    flush,
    { flags: Write, spread: 'all-ok' },
    '1.0.0',
    'O(n), n keys; O(1) with ASYNC',
    'Deletes all keys.',
  ),
  server(
    'flushall',
    -1,
    flush,
    { flags: Write, spread: 'all-ok' },
    '1.0.0',
    'O(n), n keys; O(1) with ASYNC',
    'Deletes all keys.',
  ),
];

export const INTERNAL_KEY_COMMANDS: readonly Command[] = [
  define('dump', 2, dump, readKey, '0.0.0', 'O(n)', 'Moves a key to another shard.'),
];
