import type { ReplyWriter } from '../resp/index.js';
import { NEVER, NONE } from '../store/index.js';
import {
  integerOf,
  NOT_AN_INTEGER,
  OUT_OF_MEMORY,
  replyRange,
  replyValue,
  VALUE_TOO_LONG,
} from './arguments.js';
import { type Command, CommandFlag, commandsOf, ONE_KEY } from './command.js';
import type { CommandContext } from './context.js';
import { expireTimeOf, INVALID_TIME, readSetOptions, resolveExpiry } from './expire-options.js';

// The key is argument 1: argv[2] is its offset, argv[3] its length. Argument 2 is at argv[4] and argv[5].

function get(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const entry = context.store.lookup(argv[2], argv[3]);
  if (entry === NONE) reply.nil();
  else replyValue(context, entry, reply);
}

function set(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  if (argc > 3) setWithOptions(context, argv, argc, reply);
  else if (context.store.set(argv[2], argv[3], argv[4], argv[5], NEVER)) reply.ok();
  else reply.error(OUT_OF_MEMORY);
}

function setWithOptions(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  const options = readSetOptions(context, argv, argc, 3, 'set', reply);
  if (options === null) return;
  const newExpireAtMs = resolveExpiry(context, argv, options, 'set', reply);
  if (newExpireAtMs === INVALID_TIME) return;
  const { store } = context;
  const entry = options.get ? store.lookup(argv[2], argv[3]) : store.find(argv[2], argv[3]);
  const start = reply.mark();
  // The old value is part of the reply before it is overwritten.
  if (options.get) {
    if (entry === NONE) reply.nil();
    else replyValue(context, entry, reply);
  }
  if (entry === NONE ? options.onlyIfPresent : options.onlyIfAbsent) {
    if (!options.get) reply.nil();
    return;
  }
  const keeps = options.keepTtl && entry !== NONE;
  const expireAtMs = keeps ? store.entries.expireAtMs(entry) : newExpireAtMs;
  if (!store.assign(entry, argv[2], argv[3], argv[4], argv[5], expireAtMs)) {
    reply.rewind(start);
    reply.error(OUT_OF_MEMORY);
  } else if (!options.get) {
    reply.ok();
  }
}

function setnx(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store } = context;
  const entry = store.find(argv[2], argv[3]);
  if (entry !== NONE) reply.integer(0);
  else if (store.assign(NONE, argv[2], argv[3], argv[4], argv[5], NEVER)) reply.integer(1);
  else reply.error(OUT_OF_MEMORY);
}

function setex(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  setForTime(context, argv, 1000, 'setex', reply);
}

function psetex(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  setForTime(context, argv, 1, 'psetex', reply);
}

/** `name key time value`. */
function setForTime(
  context: CommandContext,
  argv: Uint32Array,
  unitMs: number,
  name: string,
  reply: ReplyWriter,
): void {
  const { store } = context;
  const expireAtMs = expireTimeOf(context, argv, 2, unitMs, store.nowMs, name, reply);
  if (expireAtMs === INVALID_TIME) return;
  if (store.set(argv[2], argv[3], argv[6], argv[7], expireAtMs)) reply.ok();
  else reply.error(OUT_OF_MEMORY);
}

function getset(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store } = context;
  const entry = store.lookup(argv[2], argv[3]);
  const start = reply.mark();
  if (entry === NONE) reply.nil();
  else replyValue(context, entry, reply);
  if (store.assign(entry, argv[2], argv[3], argv[4], argv[5], NEVER)) return;
  reply.rewind(start);
  reply.error(OUT_OF_MEMORY);
}

function getdel(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store } = context;
  const entry = store.lookup(argv[2], argv[3]);
  if (entry === NONE) {
    reply.nil();
    return;
  }
  const start = reply.mark();
  replyValue(context, entry, reply);
  if (store.delete(entry)) return;
  reply.rewind(start);
  reply.error(OUT_OF_MEMORY);
}

function getex(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  const options = readSetOptions(context, argv, argc, 2, 'getex', reply);
  if (options === null) return;
  const { store } = context;
  const entry = store.lookup(argv[2], argv[3]);
  if (entry === NONE) {
    reply.nil();
    return;
  }
  const expireAtMs = resolveExpiry(context, argv, options, 'getex', reply);
  if (expireAtMs === INVALID_TIME) return;
  const start = reply.mark();
  replyValue(context, entry, reply);
  let done = true;
  if (options.persist) done = store.entries.expireAtMs(entry) === NEVER || store.expireAt(entry, NEVER);
  else if (expireAtMs !== NEVER) {
    done = expireAtMs <= store.nowMs ? store.delete(entry) : store.expireAt(entry, expireAtMs);
  }
  if (done) return;
  reply.rewind(start);
  reply.error(OUT_OF_MEMORY);
}

function strlen(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const entry = context.store.lookup(argv[2], argv[3]);
  reply.integer(entry === NONE ? 0 : context.store.entries.valueLength(entry));
}

function append(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store } = context;
  const entry = store.find(argv[2], argv[3]);
  const oldLength = entry === NONE ? 0 : store.entries.valueLength(entry);
  const newLength = oldLength + argv[5];
  if (newLength > context.maxValueBytes) {
    reply.error(VALUE_TOO_LONG);
    return;
  }
  if (entry === NONE) {
    if (!store.assign(NONE, argv[2], argv[3], argv[4], argv[5], NEVER)) {
      reply.error(OUT_OF_MEMORY);
      return;
    }
  } else {
    const grown = store.grow(entry, newLength);
    if (grown === NONE) {
      reply.error(OUT_OF_MEMORY);
      return;
    }
    store.write(grown, oldLength, argv[4], argv[5]);
    store.changed(grown);
  }
  reply.integer(newLength);
}

/** `SETRANGE key offset value`. */
function setrange(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store } = context;
  const position = integerOf(context, argv, 2);
  if (Number.isNaN(position)) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  if (position < 0) {
    reply.error('ERR offset is out of range');
    return;
  }
  const entry = store.find(argv[2], argv[3]);
  const oldLength = entry === NONE ? 0 : store.entries.valueLength(entry);
  const partLength = argv[7];
  if (partLength === 0) {
    reply.integer(oldLength);
    return;
  }
  const newLength = Math.max(oldLength, position + partLength);
  if (newLength > context.maxValueBytes) {
    reply.error(VALUE_TOO_LONG);
    return;
  }
  const written = entry === NONE ? store.setZeros(argv[2], argv[3], newLength) : store.grow(entry, newLength);
  if (written === NONE) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  store.write(written, position, argv[6], partLength);
  store.changed(written);
  reply.integer(newLength);
}

/** `GETRANGE key start end`: negative positions count from the end, and `end` is included. */
function getrange(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const first = integerOf(context, argv, 2);
  const last = integerOf(context, argv, 3);
  if (Number.isNaN(first) || Number.isNaN(last)) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const { store } = context;
  const entry = store.lookup(argv[2], argv[3]);
  const length = entry === NONE ? 0 : store.entries.valueLength(entry);
  const from = Math.max(first < 0 ? length + first : first, 0);
  const to = Math.min(Math.max(last < 0 ? length + last : last, 0), length - 1);
  if (entry === NONE || from > to || (first < 0 && last < 0 && first > last)) reply.bulk(0, 0);
  else replyRange(context, entry, from, to - from + 1, reply);
}

const define = commandsOf('string');
const WRITE = CommandFlag.Write | CommandFlag.DenyOom;
const FAST = CommandFlag.Fast;
const READ = CommandFlag.ReadOnly;
const fastRead = { flags: READ | FAST, keys: ONE_KEY, spread: 'key' } as const;
const read = { flags: READ, keys: ONE_KEY, spread: 'key' } as const;
const write = { flags: WRITE, keys: ONE_KEY, spread: 'key' } as const;
const fastWrite = { flags: WRITE | FAST, keys: ONE_KEY, spread: 'key' } as const;
const fastTake = { flags: CommandFlag.Write | FAST, keys: ONE_KEY, spread: 'key' } as const;

export const STRING_COMMANDS: readonly Command[] = [
  define('get', 2, get, fastRead, '1.0.0', 'O(1)', 'Returns the value of a key.'),
  define(
    'set',
    -3,
    set,
    write,
    '1.0.0',
    'O(1)',
    'Sets the value of a key, whatever it held, and its expiry.',
  ),
  define('setnx', 3, setnx, fastWrite, '1.0.0', 'O(1)', 'Sets a key that does not exist yet.'),
  define('setex', 4, setex, write, '2.0.0', 'O(1)', 'Sets a key and its time to live in seconds.'),
  define('psetex', 4, psetex, write, '2.6.0', 'O(1)', 'Sets a key and its time to live in milliseconds.'),
  define('getset', 3, getset, fastWrite, '1.0.0', 'O(1)', 'Sets a key and returns its old value.'),
  define('getdel', 2, getdel, fastTake, '6.2.0', 'O(1)', 'Returns the value of a key and deletes it.'),
  define('getex', -2, getex, fastTake, '6.2.0', 'O(1)', 'Returns the value of a key and changes its expiry.'),
  define('strlen', 2, strlen, fastRead, '2.2.0', 'O(1)', 'Returns the length of a value in bytes.'),
  define('append', 3, append, fastWrite, '2.0.0', 'O(1) amortized', 'Appends bytes to a value.'),
  define('setrange', 4, setrange, write, '2.2.0', 'O(n), n bytes', 'Overwrites a part of a value.'),
  define('getrange', 4, getrange, read, '2.4.0', 'O(n), n bytes', 'Returns a part of a value.'),
];
