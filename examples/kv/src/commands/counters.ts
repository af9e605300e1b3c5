import { readInt64, readInteger, writeInteger } from '../bytes.js';
import type { ReplyWriter } from '../resp/index.js';
import { NEVER, NONE } from '../store/index.js';
import { integerOf, NOT_AN_INTEGER, OUT_OF_MEMORY, textOf } from './arguments.js';
import { type Command, CommandFlag, commandsOf, ONE_KEY } from './command.js';
import type { CommandContext } from './context.js';
import { addDecimals, DECIMAL_TEXT_MAX, formatDecimal, parseDecimal } from './decimal.js';

const OVERFLOW = 'ERR increment or decrement would overflow';
const NOT_A_FLOAT = 'ERR value is not a valid float';
const NO_FINITE_SUM = 'ERR increment would produce NaN or Infinity';
const INFINITY = /^[+-]?inf(?:inity)?$/i;
const INT64_MIN = -(2n ** 63n);
const INTEGER_TEXT_MAX = 20;

function incr(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  increment(context, argv, 1, reply);
}

function decr(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  increment(context, argv, -1, reply);
}

function incrby(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const by = integerOf(context, argv, 2);
  if (Number.isSafeInteger(by)) increment(context, argv, by, reply);
  else incrementExactly(context, argv, readInt64(context.bytes, argv[4], argv[5]), reply);
}

function decrby(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const by = integerOf(context, argv, 2);
  if (Number.isSafeInteger(by)) {
    increment(context, argv, -by, reply);
    return;
  }
  const exact = readInt64(context.bytes, argv[4], argv[5]);
  if (exact === INT64_MIN) reply.error('ERR decrement would overflow');
  else incrementExactly(context, argv, exact === null ? null : -exact, reply);
}

/** Adds to a key's value. Sums within ±2^53 are done in doubles, which are exact there. */
function increment(context: CommandContext, argv: Uint32Array, by: number, reply: ReplyWriter): void {
  const { store } = context;
  const { entries } = store;
  const entry = store.find(argv[2], argv[3]);
  let value = 0;
  if (entry !== NONE) {
    value = entries.isChunked(entry)
      ? Number.NaN
      : readInteger(context.bytes, entries.payloadOffset(entry), entries.valueLength(entry));
    if (Number.isNaN(value)) {
      reply.error(NOT_AN_INTEGER);
      return;
    }
  }
  const sum = value + by;
  if (!Number.isSafeInteger(value) || !Number.isSafeInteger(sum)) {
    incrementExactly(context, argv, BigInt(by), reply);
    return;
  }
  const at = context.scratchOffset;
  const length = writeInteger(context.bytes, at, sum) - at;
  if (assignScratch(context, argv, entry, length)) reply.integer(sum);
  else reply.error(OUT_OF_MEMORY);
}

/** As {@link increment} for all of int64. */
function incrementExactly(
  context: CommandContext,
  argv: Uint32Array,
  by: bigint | null,
  reply: ReplyWriter,
): void {
  const { store } = context;
  const entry = store.find(argv[2], argv[3]);
  const text = entry === NONE ? '0' : valueText(context, entry, INTEGER_TEXT_MAX);
  const length = context.bytes.write(text ?? '', context.scratchOffset, 'latin1');
  const value = text === null ? null : readInt64(context.bytes, context.scratchOffset, length);
  if (by === null || value === null) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const sum = value + by;
  if (BigInt.asIntN(64, sum) !== sum) {
    reply.error(OVERFLOW);
    return;
  }
  const digits = sum.toString();
  context.bytes.write(digits, context.scratchOffset, 'latin1');
  if (assignScratch(context, argv, entry, digits.length)) reply.integerText(digits);
  else reply.error(OUT_OF_MEMORY);
}

function incrbyfloat(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const { store } = context;
  const entry = store.find(argv[2], argv[3]);
  const text = entry === NONE ? '0' : (valueText(context, entry, DECIMAL_TEXT_MAX) ?? '');
  const byText = textOf(context, argv, 2, DECIMAL_TEXT_MAX + 1);
  const value = parseDecimal(text);
  const by = parseDecimal(byText);
  if (value === null || by === null) {
    const infinite = INFINITY.test(text) || INFINITY.test(byText);
    reply.error(infinite ? NO_FINITE_SUM : NOT_A_FLOAT);
    return;
  }
  const sum = addDecimals(value, by);
  const digits = formatDecimal(sum);
  if (digits.length > DECIMAL_TEXT_MAX || !Number.isFinite(Number(digits))) {
    reply.error(NO_FINITE_SUM);
    return;
  }
  context.bytes.write(digits, context.scratchOffset, 'latin1');
  if (assignScratch(context, argv, entry, digits.length)) {
    reply.bulk(context.scratchOffset, digits.length);
  } else {
    reply.error(OUT_OF_MEMORY);
  }
}

/** A value as text; null when it is longer than `lengthMax` or empty. */
function valueText(context: CommandContext, entry: number, lengthMax: number): string | null {
  const { entries } = context.store;
  const length = entries.valueLength(entry);
  if (length === 0 || length > lengthMax || entries.isChunked(entry)) return null;
  const offset = entries.payloadOffset(entry);
  return context.bytes.toString('latin1', offset, offset + length);
}

/** Sets the key to what is in the scratch block; its expiry stays. */
function assignScratch(context: CommandContext, argv: Uint32Array, entry: number, length: number): boolean {
  const { store, scratchOffset } = context;
  const expireAtMs = entry === NONE ? NEVER : store.entries.expireAtMs(entry);
  return store.assign(entry, argv[2], argv[3], scratchOffset, length, expireAtMs);
}

const define = commandsOf('string');
const counter = {
  flags: CommandFlag.Write | CommandFlag.DenyOom | CommandFlag.Fast,
  keys: ONE_KEY,
  spread: 'key',
} as const;

export const COUNTER_COMMANDS: readonly Command[] = [
  define(
    'incr',
    2,
    incr,
    counter,
    '1.0.0',
    'O(1)',
    'Adds one to an integer value; a missing key counts as 0.',
  ),
  define('decr', 2, decr, counter, '1.0.0', 'O(1)', 'Subtracts one from an integer value.'),
  define('incrby', 3, incrby, counter, '1.0.0', 'O(1)', 'Adds to an integer value.'),
  define('decrby', 3, decrby, counter, '1.0.0', 'O(1)', 'Subtracts from an integer value.'),
  define('incrbyfloat', 3, incrbyfloat, counter, '2.6.0', 'O(1)', 'Adds to a decimal value, exactly.'),
];
