import type { ReplyWriter } from '../resp/index.js';
import { NEVER } from '../store/index.js';
import { integerOf, invalidExpireTime, isWord, NOT_AN_INTEGER, SYNTAX_ERROR, word } from './arguments.js';
import type { CommandContext } from './context.js';

/** The largest signed 64-bit integer, as a double. */
const INT64_MAX = 2 ** 63;

// Words of the options, and what optionOf returns for each.
const WORDS = ['ex', 'px', 'exat', 'pxat', 'nx', 'xx', 'get', 'keepttl', 'persist'].map(word);
const EX = 0;
const PX = 1;
const EXAT = 2;
const PXAT = 3;
const NX = 4;
const XX = 5;
const GET = 6;
const KEEPTTL = 7;
const PERSIST = 8;

function optionOf(context: CommandContext, argv: Uint32Array, index: number): number {
  for (let option = 0; option < WORDS.length; option++) {
    if (isWord(context, argv, index, WORDS[option])) return option;
  }
  return -1;
}

/** Says that an argument is no valid time; the error has been written. */
export const INVALID_TIME = -1;

/**
 * Reads a time that must be positive, as SET and its relatives take it.
 *
 * @param unitMs - 1000 for seconds, 1 for milliseconds.
 * @param baseMs - What the time counts from: the present, or 0 for an absolute time.
 * @returns Absolute time in ms, or INVALID_TIME.
 */
export function expireTimeOf(
  context: CommandContext,
  argv: Uint32Array,
  index: number,
  unitMs: number,
  baseMs: number,
  commandName: string,
  reply: ReplyWriter,
): number {
  const time = integerOf(context, argv, index);
  if (Number.isNaN(time)) {
    reply.error(NOT_AN_INTEGER);
    return INVALID_TIME;
  }
  const expireAtMs = time * unitMs + baseMs;
  if (time <= 0 || expireAtMs >= INT64_MAX) {
    reply.error(invalidExpireTime(commandName));
    return INVALID_TIME;
  }
  return expireAtMs;
}

/** Options of SET and GETEX. One object serves all calls: read it before the next one. */
export interface SetOptions {
  onlyIfAbsent: boolean;
  onlyIfPresent: boolean;
  /** Reply with the old value. */
  get: boolean;
  keepTtl: boolean;
  persist: boolean;
  /** Which of EX, PX, EXAT and PXAT, or −1; and the index of its argument. See {@link resolveExpiry}. */
  timeOption: number;
  timeIndex: number;
}

const options: SetOptions = {
  onlyIfAbsent: false,
  onlyIfPresent: false,
  get: false,
  keepTtl: false,
  persist: false,
  timeOption: -1,
  timeIndex: 0,
};

/**
 * Reads the options of SET (`NX XX GET KEEPTTL` and a time) or GETEX (`PERSIST` and a time); both take the times
 * `EX s`, `PX ms`, `EXAT s` and `PXAT ms`, of which there may be one kind.
 *
 * @param first - Index of the first option.
 * @returns The options, or null when an error has been written.
 */
export function readSetOptions(
  context: CommandContext,
  argv: Uint32Array,
  argc: number,
  first: number,
  commandName: 'set' | 'getex',
  reply: ReplyWriter,
): SetOptions | null {
  const isSet = commandName === 'set';
  options.onlyIfAbsent = false;
  options.onlyIfPresent = false;
  options.get = false;
  options.keepTtl = false;
  options.persist = false;
  options.timeOption = -1;
  options.timeIndex = 0;
  for (let index = first; index < argc; index++) {
    const option = optionOf(context, argv, index);
    const { timeOption } = options;
    const timeFits = (timeOption < 0 || timeOption === option) && !options.keepTtl && !options.persist;
    if (option >= EX && option <= PXAT && timeFits && index + 1 < argc) {
      options.timeOption = option;
      options.timeIndex = ++index;
    } else if (option === PERSIST && !isSet && timeOption < 0) options.persist = true;
    else if (option === KEEPTTL && isSet && timeOption < 0) options.keepTtl = true;
    else if (option === NX && isSet && !options.onlyIfPresent) options.onlyIfAbsent = true;
    else if (option === XX && isSet && !options.onlyIfAbsent) options.onlyIfPresent = true;
    else if (option === GET && isSet) options.get = true;
    else {
      reply.error(SYNTAX_ERROR);
      return null;
    }
  }
  return options;
}

/** The absolute time in ms that the options ask for, NEVER when they name none, or INVALID_TIME. */
export function resolveExpiry(
  context: CommandContext,
  argv: Uint32Array,
  { timeOption, timeIndex }: SetOptions,
  commandName: 'set' | 'getex',
  reply: ReplyWriter,
): number {
  if (timeOption < 0) return NEVER;
  const unitMs = timeOption === EX || timeOption === EXAT ? 1000 : 1;
  const baseMs = timeOption === EX || timeOption === PX ? context.store.nowMs : 0;
  return expireTimeOf(context, argv, timeIndex, unitMs, baseMs, commandName, reply);
}
