import type { ReplyWriter } from '../resp/index.js';
import { needsSubcommand, textOf, wrongArity } from './arguments.js';
import { type Command, CommandFlag, commandsOf } from './command.js';
import type { CommandContext } from './context.js';
import { globMatches, wholeOf } from './glob.js';

/** One parameter of CONFIG GET and CONFIG SET. */
export interface Parameter {
  /** In lower case. */
  readonly name: string;
  /** The present value, as CONFIG GET shows it. */
  get(): string;
  /** Says what is wrong with a value, or null. Without it, and without `set`, the parameter cannot be changed. */
  check?(value: string): string | null;
  /** Makes a checked value take effect. */
  set?(value: string): void;
}

/** A parameter that only tells how the server was started. */
export function fixedParameter(name: string, value: string): Parameter {
  return { name, get: () => value };
}

/** A parameter with one of several values. */
export function choiceParameter(
  name: string,
  choices: readonly string[],
  get: () => string,
  set: (value: string) => void,
): Parameter {
  return {
    name,
    get,
    check: (value) =>
      choices.includes(value.toLowerCase())
        ? null
        : `argument(s) must be one of the following: ${choices.join(', ')}`,
    set: (value) => set(value.toLowerCase()),
  };
}

/** A whole number within limits. */
export function integerParameter(
  name: string,
  min: number,
  max: number,
  get: () => number,
  set: (value: number) => void,
): Parameter {
  return {
    name,
    get: () => String(get()),
    check: (value) => {
      if (!/^-?\d+$/.test(value)) return "argument couldn't be parsed into an integer";
      const number = Number(value);
      return number >= min && number <= max ? null : `argument must be between ${min} and ${max} inclusive`;
    },
    set: (value) => set(Number(value)),
  };
}

/** A number of bytes: digits, and `k kb m mb g gb` as Redis reads them (k = 1000, kb = 1024, and so on). */
export function memoryParameter(name: string, get: () => number, set: (bytes: number) => void): Parameter {
  return {
    name,
    get: () => String(get()),
    check: (value) => (parseMemory(value) === null ? 'argument must be a memory value' : null),
    set: (value) => set(parseMemory(value) ?? 0),
  };
}

const MEMORY_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1000,
  kb: 1024,
  m: 1000 ** 2,
  mb: 1024 ** 2,
  g: 1000 ** 3,
  gb: 1024 ** 3,
};

function parseMemory(text: string): number | null {
  const match = /^(\d{1,15})([a-z]*)$/.exec(text.toLowerCase());
  if (match === null) return null;
  const unit = MEMORY_UNITS[match[2] ?? ''];
  return unit === undefined ? null : Number(match[1]) * unit;
}

/** The parameters of one shard. The server defines them; CONFIG SET reaches those of every shard. */
export class Config {
  readonly #parameters = new Map<string, Parameter>();

  constructor(parameters: Iterable<Parameter> = []) {
    for (const parameter of parameters) this.define(parameter);
  }

  define(parameter: Parameter): void {
    this.#parameters.set(parameter.name, parameter);
  }

  get(name: string): Parameter | undefined {
    return this.#parameters.get(name);
  }

  all(): Iterable<Parameter> {
    return this.#parameters.values();
  }
}

/** `CONFIG GET pattern…`. */
function configGet(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  const found: Parameter[] = [];
  const patterns: Uint8Array[] = [];
  for (let index = 2; index < argc; index++) {
    patterns.push(Buffer.from(textOf(context, argv, index).toLowerCase(), 'utf8'));
  }
  for (const parameter of context.config.all()) {
    const name = Buffer.from(parameter.name, 'utf8');
    if (patterns.some((pattern) => globMatches(wholeOf(pattern), name, 0, name.length)))
      found.push(parameter);
  }
  reply.map(found.length);
  for (const parameter of found) {
    reply.bulkText(parameter.name);
    reply.bulkText(parameter.get());
  }
}

/** `CONFIG SET name value…`: all or, when one is wrong, none. */
function configSet(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  if (argc % 2 !== 0) {
    reply.error(wrongArity('config|set'));
    return;
  }
  const changes: { readonly parameter: Parameter; readonly value: string }[] = [];
  for (let index = 2; index < argc; index += 2) {
    const name = textOf(context, argv, index).toLowerCase();
    const value = textOf(context, argv, index + 1);
    const parameter = context.config.get(name);
    if (parameter === undefined) {
      reply.error(`ERR Unknown option or number of arguments for CONFIG SET - '${name}'`);
      return;
    }
    const problem =
      parameter.set === undefined ? "can't set immutable config" : (parameter.check?.(value) ?? null);
    if (problem !== null) {
      reply.error(`ERR CONFIG SET failed (possibly related to argument '${name}') - ${problem}`);
      return;
    }
    if (changes.some((change) => change.parameter === parameter)) {
      reply.error(`ERR CONFIG SET failed (possibly related to argument '${name}') - duplicate parameter`);
      return;
    }
    changes.push({ parameter, value });
  }
  for (const { parameter, value } of changes) parameter.set?.(value);
  reply.ok();
}

function configResetstat(
  context: CommandContext,
  _argv: Uint32Array,
  _argc: number,
  reply: ReplyWriter,
): void {
  context.store.resetStats();
  context.commandsProcessed = 0;
  context.server.resetCounters();
  reply.ok();
}

const define = commandsOf('server');
const admin = { flags: CommandFlag.Admin } as const;
const everywhere = { flags: CommandFlag.Admin, spread: 'all-ok' } as const;

const SUBCOMMANDS: readonly Command[] = [
  define(
    'config|get',
    -3,
    configGet,
    admin,
    '2.0.0',
    'O(n), n parameters',
    'Returns the parameters that match a glob.',
  ),
  define('config|set', -4, configSet, everywhere, '2.0.0', 'O(n), n parameters', 'Changes parameters.'),
  define('config|resetstat', 2, configResetstat, everywhere, '2.0.0', 'O(1)', 'Sets counters back to zero.'),
];

export const CONFIG_COMMANDS: readonly Command[] = [
  define(
    'config',
    -2,
    needsSubcommand,
    { subcommands: SUBCOMMANDS },
    '2.0.0',
    'Depends on the subcommand.',
    'Commands about the configuration.',
  ),
];
