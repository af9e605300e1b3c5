import type { ReplyWriter } from '../resp/index.js';
import { NEVER, NONE } from '../store/index.js';
import {
  integerOf,
  invalidExpireTime,
  isWord,
  NOT_AN_INTEGER,
  OUT_OF_MEMORY,
  textOf,
  word,
} from './arguments.js';
import { type Command, CommandFlag, commandsOf, type Handler, ONE_KEY } from './command.js';
import type { CommandContext } from './context.js';

const INT64_MAX = 2 ** 63;

const NX = word('nx');
const XX = word('xx');
const GT = word('gt');
const LT = word('lt');

// Conditions of EXPIRE and its relatives.
const IF_NONE = 1;
const IF_SOME = 2;
const IF_LATER = 4;
const IF_SOONER = 8;

/** Reads `[NX | XX | GT | LT]`; −1 when an error has been written. */
function readConditions(
  context: CommandContext,
  argv: Uint32Array,
  argc: number,
  reply: ReplyWriter,
): number {
  let conditions = 0;
  for (let index = 3; index < argc; index++) {
    if (isWord(context, argv, index, NX)) conditions |= IF_NONE;
    else if (isWord(context, argv, index, XX)) conditions |= IF_SOME;
    else if (isWord(context, argv, index, GT)) conditions |= IF_LATER;
    else if (isWord(context, argv, index, LT)) conditions |= IF_SOONER;
    else {
      reply.error(`ERR Unsupported option ${textOf(context, argv, index)}`);
      return -1;
    }
  }
  if ((conditions & IF_NONE) !== 0 && conditions !== IF_NONE) {
    reply.error('ERR NX and XX, GT or LT options at the same time are not compatible');
    return -1;
  }
  if ((conditions & IF_LATER) !== 0 && (conditions & IF_SOONER) !== 0) {
    reply.error('ERR GT and LT options at the same time are not compatible');
    return -1;
  }
  return conditions;
}

/** Whether the conditions allow an expiry to change; one that is not set counts as infinitely late. */
function conditionsHold(conditions: number, present: number, wanted: number): boolean {
  if (conditions === 0) return true;
  const isSet = present !== NEVER;
  if ((conditions & IF_NONE) !== 0 && isSet) return false;
  if ((conditions & IF_SOME) !== 0 && !isSet) return false;
  if ((conditions & IF_LATER) !== 0 && (!isSet || wanted <= present)) return false;
  return (conditions & IF_SOONER) === 0 || !isSet || wanted < present;
}

/** Makes EXPIRE, PEXPIRE, EXPIREAT or PEXPIREAT. */
function expireBy(name: string, unitMs: number, isAbsolute: boolean): Handler {
  return (context, argv, argc, reply) => {
    const { store } = context;
    const conditions = readConditions(context, argv, argc, reply);
    if (conditions < 0) return;
    const time = integerOf(context, argv, 2);
    if (Number.isNaN(time)) {
      reply.error(NOT_AN_INTEGER);
      return;
    }
    const expireAtMs = time * unitMs + (isAbsolute ? 0 : store.nowMs);
    if (Math.abs(time * unitMs) >= INT64_MAX || expireAtMs >= INT64_MAX) {
      reply.error(invalidExpireTime(name));
      return;
    }
    const entry = store.find(argv[2], argv[3]);
    if (entry === NONE || !conditionsHold(conditions, store.entries.expireAtMs(entry), expireAtMs)) {
      reply.integer(0);
      return;
    }
    const done = expireAtMs <= store.nowMs ? store.delete(entry) : store.expireAt(entry, expireAtMs);
    if (done) reply.integer(1);
    else reply.error(OUT_OF_MEMORY);
  };
}

function persist(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store } = context;
  const entry = store.find(argv[2], argv[3]);
  if (entry === NONE || store.entries.expireAtMs(entry) === NEVER) reply.integer(0);
  else if (store.expireAt(entry, NEVER)) reply.integer(1);
  else reply.error(OUT_OF_MEMORY);
}

/** Makes TTL, PTTL, EXPIRETIME or PEXPIRETIME: −2 without the key, −1 without an expiry. */
function timeToLive(unitMs: number, isAbsolute: boolean): Handler {
  return (context, argv, _argc, reply) => {
    const { store } = context;
    const entry = store.lookup(argv[2], argv[3]);
    if (entry === NONE) {
      reply.integer(-2);
      return;
    }
    const expireAtMs = store.entries.expireAtMs(entry);
    if (expireAtMs === NEVER) {
      reply.integer(-1);
      return;
    }
    const timeMs = isAbsolute ? expireAtMs : expireAtMs - store.nowMs;
    const time = Math.floor(timeMs / unitMs + 0.5);
    if (Number.isSafeInteger(time)) reply.integer(time);
    else reply.integerText(BigInt(time).toString());
  };
}

const define = commandsOf('generic');
const change = { flags: CommandFlag.Write | CommandFlag.Fast, keys: ONE_KEY, spread: 'key' } as const;
const read = { flags: CommandFlag.ReadOnly | CommandFlag.Fast, keys: ONE_KEY, spread: 'key' } as const;

export const EXPIRY_COMMANDS: readonly Command[] = [
  define(
    'expire',
    -3,
    expireBy('expire', 1000, false),
    change,
    '1.0.0',
    'O(1)',
    'Sets the time to live of a key in seconds.',
  ),
  define(
    'pexpire',
    -3,
    expireBy('pexpire', 1, false),
    change,
    '2.6.0',
    'O(1)',
    'Sets the time to live of a key in milliseconds.',
  ),
  define(
    'expireat',
    -3,
    expireBy('expireat', 1000, true),
    change,
    '1.2.0',
    'O(1)',
    'Sets when a key expires, in seconds since 1970.',
  ),
  define(
    'pexpireat',
    -3,
    expireBy('pexpireat', 1, true),
    change,
    '2.6.0',
    'O(1)',
    'Sets when a key expires, in milliseconds since 1970.',
  ),
  define('persist', 2, persist, change, '2.2.0', 'O(1)', 'Removes the expiry of a key.'),
  define(
    'ttl',
    2,
    timeToLive(1000, false),
    read,
    '1.0.0',
    'O(1)',
    'Returns the time to live of a key in seconds.',
  ),
  define(
    'pttl',
    2,
    timeToLive(1, false),
    read,
    '2.6.0',
    'O(1)',
    'Returns the time to live of a key in milliseconds.',
  ),
  define(
    'expiretime',
    2,
    timeToLive(1000, true),
    read,
    '7.0.0',
    'O(1)',
    'Returns when a key expires, in seconds since 1970.',
  ),
  define(
    'pexpiretime',
    2,
    timeToLive(1, true),
    read,
    '7.0.0',
    'O(1)',
    'Returns when a key expires, in milliseconds since 1970.',
  ),
];
