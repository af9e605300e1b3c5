import { splitInline } from './inline.js';

/** What {@link RequestParser.parse} found. */
export const ParseStatus = {
  /** The range ends inside a command: call again when it has grown. */
  NeedMore: 0,
  /** One command is in `argv`. */
  Complete: 1,
  /** The client does not speak the protocol: answer with `error`, then close the connection. */
  ProtocolError: 2,
} as const;
export type ParseStatus = (typeof ParseStatus)[keyof typeof ParseStatus];

/** Limits of {@link RequestParser}. */
export interface RequestLimits {
  /**
   * Arguments of one command, its name included.
   * @default 65_536
   */
  readonly maxArguments?: number;
  /**
   * Length of one argument in bytes; at most 999,999,999.
   * @default 32 MiB
   */
  readonly maxBulkBytes?: number;
  /**
   * Length of one command as it is on the wire, in bytes.
   * @default 64 MiB
   */
  readonly maxRequestBytes?: number;
  /**
   * Length of an inline command's line in bytes.
   * @default 64 KiB
   */
  readonly maxInlineBytes?: number;
}

export const DEFAULT_REQUEST_LIMITS: Required<RequestLimits> = {
  maxArguments: 65_536,
  maxBulkBytes: 32 * 1024 * 1024,
  maxRequestBytes: 64 * 1024 * 1024,
  maxInlineBytes: 64 * 1024,
};

const CR = 0x0d;
const LF = 0x0a;
const ASTERISK = 0x2a;
const DOLLAR = 0x24;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
/** CRLF as a little-endian number. */
const CRLF_WORD = 0x0a0d;

/** A length has at most this many digits, so that it is always a small integer. */
const LENGTH_DIGITS_MAX = 9;

const INCOMPLETE = -1;
const INVALID = -2;
const ARGUMENTS_FOLLOW = -1;

const FIRST_ARGUMENTS = 10;
/** Commands with this many arguments, each shorter than this, are tried as a whole. */
const WHOLE_ARGUMENTS = 9;
const WHOLE_BULK_BYTES = 100_000;
/** An argument table larger than this is given up when the next command begins. */
const KEPT_ARGUMENTS = 1024;

/**
 * Finds the commands in the bytes that a client has sent: RESP2 multi-bulk requests and inline commands.
 *
 * It copies nothing. A command is a table of ranges in the arena, valid for as long as the bytes stay where
 * they are. One parser serves one connection, because it remembers how far it came: each byte of an argument
 * is passed over once, however small the pieces are in which it arrives.
 *
 * ```
 * request   = "*" count CRLF count×( "$" length CRLF bytes CRLF )
 * inline    = words separated by blanks, with "…" and '…' quoting, up to LF
 * ```
 *
 * Lengths are decimal without leading zeros. A count of zero or less, and an empty line, are commands without
 * arguments (`argc` 0), which a server ignores.
 */
export class RequestParser {
  /** The arguments of the last complete command: offset in the arena and length of each, in turn. */
  argv: Uint32Array = new Uint32Array(2 * FIRST_ARGUMENTS);
  /** Number of arguments of the last complete command. */
  argc = 0;
  /** After Complete: the bytes that the command occupied, from `start`. */
  consumedBytes = 0;
  /** After NeedMore: the command has at least this many bytes, counted from `start`. */
  neededBytes = 1;
  /** After ProtocolError: what Redis would say, "Protocol error: …". */
  error = '';

  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #maxArguments: number;
  readonly #maxBulkBytes: number;
  readonly #maxRequestBytes: number;
  readonly #maxInlineBytes: number;
  /** Commands with up to so many arguments are tried as a whole; 0 when a limit might forbid one of them. */
  readonly #wholeArguments: number;

  /** Where the command began when it was last looked at. */
  #start = 0;
  /** How far it was parsed, relative to its start; 0 between commands. */
  #parsed = 0;
  /** Arguments that are still to come; −1 until the count is known. */
  #remaining = -1;
  /** Length of the argument that is under way; −1 until it is known. */
  #bulkBytes = -1;
  /** Set by #readLength: the position behind the line. */
  #next = 0;

  /** @param bytes - The whole arena that `start` and `end` of {@link parse} refer to. */
  constructor(bytes: Buffer, limits: RequestLimits = {}) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#maxArguments = limits.maxArguments ?? DEFAULT_REQUEST_LIMITS.maxArguments;
    this.#maxBulkBytes = limits.maxBulkBytes ?? DEFAULT_REQUEST_LIMITS.maxBulkBytes;
    this.#maxRequestBytes = limits.maxRequestBytes ?? DEFAULT_REQUEST_LIMITS.maxRequestBytes;
    this.#maxInlineBytes = limits.maxInlineBytes ?? DEFAULT_REQUEST_LIMITS.maxInlineBytes;
    const isSafe =
      this.#maxArguments >= WHOLE_ARGUMENTS &&
      this.#maxBulkBytes >= WHOLE_BULK_BYTES &&
      this.#maxRequestBytes >= (WHOLE_ARGUMENTS + 1) * WHOLE_BULK_BYTES;
    this.#wholeArguments = isSafe ? WHOLE_ARGUMENTS : 0;
  }

  /**
   * Looks for one command at the beginning of a range.
   *
   * After NeedMore the next call must be given the same bytes and at least one more; they may have moved to
   * another place in the arena. Quotes and escapes of an inline command are resolved in place: its bytes are
   * overwritten. Never throws.
   *
   * @param start - Offset of the first byte that no command has consumed.
   * @param end - Offset behind the last byte received.
   */
  parse(start: number, end: number): ParseStatus {
    const bytes = this.#bytes;
    if (this.#remaining < 0) {
      if (start >= end) {
        this.neededBytes = 1;
        return ParseStatus.NeedMore;
      }
      if (bytes[start] !== ASTERISK) return this.#parseInline(start, end);
      if (this.#parseWhole(start, end)) return ParseStatus.Complete;
      const status = this.#parseCount(start, end);
      if (status !== ARGUMENTS_FOLLOW) return status;
    } else if (start !== this.#start) {
      this.#moveArguments(start);
    }

    let position = start + this.#parsed;
    let bulkBytes = this.#bulkBytes;
    let argc = this.argc;
    let argv = this.argv;
    for (let remaining = this.#remaining; remaining > 0; remaining--) {
      if (bulkBytes < 0) {
        if (position >= end) return this.#suspend(start, position, argc, remaining, -1, 1);
        if (bytes[position] !== DOLLAR)
          return this.#fail(`expected '$', got '${printable(bytes[position])}'`);
        bulkBytes = this.#readLength(position + 1, end);
        if (bulkBytes < 0) {
          if (bulkBytes === INVALID) return this.#fail('invalid bulk length');
          return this.#suspend(start, position, argc, remaining, -1, end - position + 1);
        }
        if (bulkBytes > this.#maxBulkBytes) return this.#fail('invalid bulk length');
        position = this.#next;
        if (position - start + bulkBytes > this.#maxRequestBytes) return this.#fail('too big request');
      }
      if (end - position < bulkBytes + 2) {
        return this.#suspend(start, position, argc, remaining, bulkBytes, bulkBytes + 2);
      }
      const slot = argc << 1;
      if (slot === argv.length) argv = this.#growArguments();
      argv[slot] = position;
      argv[slot + 1] = bulkBytes;
      argc++;
      position += bulkBytes;
      if (bytes[position] !== CR || bytes[position + 1] !== LF) {
        return this.#fail('expected CRLF after a bulk');
      }
      position += 2;
      bulkBytes = -1;
    }
    return this.#complete(argc, position - start);
  }

  /** Throws unless the remembered progress makes sense. For tests. */
  invariants(): void {
    const idle = this.#remaining < 0;
    const problem = idle
      ? this.#bulkBytes !== -1 && 'a bulk without a command'
      : this.argc > this.#maxArguments || 2 * this.argc > this.argv.length
        ? 'too many arguments'
        : this.#bulkBytes > this.#maxBulkBytes && 'a bulk over the limit';
    if (problem !== false) throw new Error(`RequestParser: ${problem}`);
  }

  #complete(argc: number, consumedBytes: number): ParseStatus {
    this.argc = argc;
    this.consumedBytes = consumedBytes;
    this.#parsed = 0;
    this.#remaining = -1;
    this.#bulkBytes = -1;
    return ParseStatus.Complete;
  }

  #suspend(
    start: number,
    position: number,
    argc: number,
    remaining: number,
    bulkBytes: number,
    needBytes: number,
  ): ParseStatus {
    this.#start = start;
    this.#parsed = position - start;
    this.#remaining = remaining;
    this.#bulkBytes = bulkBytes;
    this.argc = argc;
    this.neededBytes = this.#parsed + needBytes;
    return ParseStatus.NeedMore;
  }

  #fail(what: string): ParseStatus {
    this.error = `Protocol error: ${what}`;
    this.#complete(0, 0);
    return ParseStatus.ProtocolError;
  }

  /**
   * The common case, a command of a few arguments that is there as a whole, in one loop without calls: a third of
   * the time. Whatever is unusual about it, it leaves to the others, and has then changed nothing.
   */
  #parseWhole(start: number, end: number): boolean {
    const bytes = this.#bytes;
    const view = this.#view;
    const argv = this.argv;
    const count = bytes[start + 1] - DIGIT_0;
    if (end - start < 4 || count < 1 || count > this.#wholeArguments) return false;
    if (argv.length > 2 * KEPT_ARGUMENTS) return false;
    if (view.getInt16(start + 2, true) !== CRLF_WORD) return false;
    let position = start + 4;
    for (let slot = 0; slot < 2 * count; slot += 2) {
      if (end - position < 6 || bytes[position] !== DOLLAR) return false;
      let length = bytes[position + 1] - DIGIT_0;
      if (length < 0 || length > 9) return false;
      position += 2;
      for (let digit = bytes[position] - DIGIT_0; digit >= 0 && digit <= 9; ) {
        if (length === 0 || length >= WHOLE_BULK_BYTES / 10) return false;
        length = length * 10 + digit;
        digit = bytes[++position] - DIGIT_0;
      }
      if (end - position < length + 4 || view.getInt16(position, true) !== CRLF_WORD) return false;
      position += 2;
      argv[slot] = position;
      argv[slot + 1] = length;
      position += length;
      if (view.getInt16(position, true) !== CRLF_WORD) return false;
      position += 2;
    }
    this.argc = count;
    this.consumedBytes = position - start;
    return true;
  }

  /** Reads `*count CRLF`. */
  #parseCount(start: number, end: number): ParseStatus | typeof ARGUMENTS_FOLLOW {
    const negative = start + 1 < end && this.#bytes[start + 1] === MINUS;
    const count = this.#readLength(negative ? start + 2 : start + 1, end);
    if (count === INCOMPLETE) {
      this.neededBytes = end - start + 1;
      return ParseStatus.NeedMore;
    }
    if (count === INVALID || (negative && count === 0)) return this.#fail('invalid multibulk length');
    if (negative || count === 0) return this.#complete(0, this.#next - start);
    if (count > this.#maxArguments) return this.#fail('invalid multibulk length');
    if (this.argv.length > 2 * KEPT_ARGUMENTS) this.argv = new Uint32Array(2 * FIRST_ARGUMENTS);
    this.argc = 0;
    this.#parsed = this.#next - start;
    this.#remaining = count;
    return ARGUMENTS_FOLLOW;
  }

  /**
   * Reads digits up to CRLF, and sets `#next` to the position behind it. Whether a byte is wrong depends only
   * on the bytes before it, so that the verdict does not depend on how the bytes arrive.
   *
   * @returns The number, INCOMPLETE or INVALID.
   */
  #readLength(position: number, end: number): number {
    const bytes = this.#bytes;
    let value = 0;
    for (let at = position; at < end; at++) {
      const digit = bytes[at] - 0x30;
      if (digit >= 0 && digit <= 9) {
        if (at > position && (value === 0 || at - position === LENGTH_DIGITS_MAX)) return INVALID;
        value = value * 10 + digit;
      } else {
        if (at === position || bytes[at] !== CR) return INVALID;
        if (at + 1 >= end) return INCOMPLETE;
        if (bytes[at + 1] !== LF) return INVALID;
        this.#next = at + 2;
        return value;
      }
    }
    return INCOMPLETE;
  }

  #parseInline(start: number, end: number): ParseStatus {
    const bytes = this.#bytes;
    const limit = Math.min(end, start + this.#maxInlineBytes);
    let at = start + this.#parsed;
    while (at < limit && bytes[at] !== LF) at++;
    if (at === limit) {
      if (limit - start === this.#maxInlineBytes) return this.#fail('too big inline request');
      this.#parsed = at - start;
      this.neededBytes = this.#parsed + 1;
      return ParseStatus.NeedMore;
    }
    const lineEnd = at > start && bytes[at - 1] === CR ? at - 1 : at;
    // A line of n bytes has at most (n + 1) / 2 words.
    const wordsMax = Math.min((lineEnd - start + 1) >>> 1, this.#maxArguments);
    if (this.argv.length < 2 * wordsMax || this.argv.length > 2 * KEPT_ARGUMENTS) {
      this.argv = new Uint32Array(2 * Math.max(wordsMax, FIRST_ARGUMENTS));
    }
    const argc = splitInline(bytes, start, lineEnd, this.argv, this.#maxArguments);
    if (argc < 0) return this.#fail('unbalanced quotes in request');
    if (argc > this.#maxArguments) return this.#fail('too many arguments in inline request');
    return this.#complete(argc, at + 1 - start);
  }

  /** The bytes of a suspended command are now at `start`. */
  #moveArguments(start: number): void {
    const distance = start - this.#start;
    for (let slot = 0; slot < 2 * this.argc; slot += 2) this.argv[slot] += distance;
    this.#start = start;
  }

  #growArguments(): Uint32Array {
    const grown = new Uint32Array(2 * this.argv.length);
    grown.set(this.argv);
    this.argv = grown;
    return grown;
  }
}

/** A byte as it is shown in an error message. */
function printable(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
}
