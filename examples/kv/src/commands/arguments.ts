import { readInteger } from '../bytes.js';
import type { ReplyWriter } from '../resp/index.js';
import { KEY_BYTES_MAX } from '../store/index.js';
import type { CommandContext } from './context.js';

export const OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
export const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';
export const SYNTAX_ERROR = 'ERR syntax error';
export const NO_SUCH_KEY = 'ERR no such key';
export const VALUE_TOO_LONG = 'ERR string exceeds maximum allowed size (proto-max-bulk-len)';

export function wrongArity(name: string): string {
  return `ERR wrong number of arguments for '${name}' command`;
}

export function invalidExpireTime(name: string): string {
  return `ERR invalid expire time in '${name}' command`;
}

/** Handler of a command that cannot do without a subcommand; its arity keeps it from being reached. */
export function needsSubcommand(
  _context: CommandContext,
  _argv: Uint32Array,
  _argc: number,
  reply: ReplyWriter,
): void {
  reply.error(SYNTAX_ERROR);
}

const LETTER_A = 0x61;

export function keyTooLong(length: number): string {
  return `ERR key is too long: ${length} bytes, the limit is ${KEY_BYTES_MAX}`;
}

/** An option's name in the form that {@link isWord} compares with. It consists of letters and dashes. */
export function word(name: string): Uint8Array {
  return Buffer.from(name.toLowerCase(), 'latin1');
}

/** Whether an argument is this word, in capitals or not. */
export function isWord(context: CommandContext, argv: Uint32Array, index: number, word: Uint8Array): boolean {
  const offset = argv[2 * index];
  if (argv[2 * index + 1] !== word.length) return false;
  const { bytes } = context;
  for (let at = 0; at < word.length; at++) {
    const byte = bytes[offset + at];
    const wanted = word[at];
    // 0x20 is the bit that distinguishes a letter's cases.
    if (byte !== wanted && (wanted < LETTER_A || (byte | 0x20) !== wanted)) return false;
  }
  return true;
}

/** An argument as text, cut to at most `bytesMax` bytes. */
export function textOf(
  context: CommandContext,
  argv: Uint32Array,
  index: number,
  bytesMax: number = Number.POSITIVE_INFINITY,
): string {
  const offset = argv[2 * index];
  return context.bytes.toString('utf8', offset, offset + Math.min(argv[2 * index + 1], bytesMax));
}

/** An argument as a 64-bit integer, rounded to a double; NaN when it is none. */
export function integerOf(context: CommandContext, argv: Uint32Array, index: number): number {
  return readInteger(context.bytes, argv[2 * index], argv[2 * index + 1]);
}

/** Replies with a value, as a bulk. */
export function replyValue(context: CommandContext, entry: number, reply: ReplyWriter): void {
  const { entries } = context.store;
  if (entries.isChunked(entry)) replyRange(context, entry, 0, entries.valueLength(entry), reply);
  else reply.bulk(entries.payloadOffset(entry), entries.valueLength(entry));
}

/** Replies with a part of a value, as a bulk. */
export function replyRange(
  context: CommandContext,
  entry: number,
  position: number,
  length: number,
  reply: ReplyWriter,
): void {
  const { entries } = context.store;
  const end = position + length;
  reply.bulkHeader(length);
  for (let index = 0, start = 0; start < end; index++) {
    const pieceLength = entries.pieceLength(entry, index);
    const from = Math.max(position, start);
    const to = Math.min(end, start + pieceLength);
    if (from < to) reply.range(entries.pieceOffset(entry, index) + from - start, to - from);
    start += pieceLength;
  }
  reply.bulkEnd();
}
