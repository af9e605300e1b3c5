import type { ReplyWriter } from '../resp/index.js';
import type { CommandContext } from './context.js';

/** Properties of a command, to be combined with `|`. */
export const CommandFlag = {
  Write: 1,
  ReadOnly: 2,
  /** It may need memory: refused with -OOM while the store holds more than its limit. */
  DenyOom: 4,
  Fast: 8,
  Admin: 16,
  /** Its reply depends on more than the store and its arguments. */
  Random: 32,
} as const;

/**
 * How a command is spread over the shards.
 *
 * - `local`: any shard answers it; the connection's own does.
 * - `key`: the owner of its key.
 * - `cursor`: the shard that the cursor names.
 * - `gather`, `sum`, `pairs`, `same`, `rename`: several keys; see plan.ts.
 * - `all-…`: every shard, the replies being put together as the rest of the name says.
 */
export type SpreadKind =
  | 'local'
  | 'key'
  | 'cursor'
  | 'gather'
  | 'sum'
  | 'pairs'
  | 'same'
  | 'rename'
  | 'all-sum'
  | 'all-concat'
  | 'all-ok'
  | 'all-pick'
  | 'all-text'
  | 'all-info';

/**
 * Executes a command.
 *
 * @param argv - Argument i is the range of the arena at offset `argv[2 * i]` with length `argv[2 * i + 1]`;
 *   argument 0 is the command's name. The count has been checked against the command's arity.
 * @param reply - Receives exactly one reply.
 */
export type Handler = (context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter) => void;

/** Positions of the keys among the arguments, as COMMAND shows them: `last` −1 is the last argument. */
export interface KeyPositions {
  /** 0 when there are no keys. */
  readonly first: number;
  readonly last: number;
  readonly step: number;
}

export const NO_KEYS: KeyPositions = { first: 0, last: 0, step: 0 };
export const ONE_KEY: KeyPositions = { first: 1, last: 1, step: 1 };
export const TWO_KEYS: KeyPositions = { first: 1, last: 2, step: 1 };
export const ALL_KEYS: KeyPositions = { first: 1, last: -1, step: 1 };
export const EVERY_SECOND: KeyPositions = { first: 1, last: -1, step: 2 };

export interface CommandDocs {
  readonly summary: string;
  /** The version of Redis that introduced it. */
  readonly since: string;
  readonly complexity: string;
}

export type CommandGroup = 'string' | 'generic' | 'connection' | 'server';

/** One command, or one subcommand, with what COMMAND tells about it and what runs it. */
export interface Command {
  /** In lower case; `config|get` for a subcommand. */
  readonly name: string;
  /** Number of arguments with the name: exactly n, or at least −n when negative. */
  readonly arity: number;
  /** Of {@link CommandFlag}. */
  readonly flags: number;
  readonly keys: KeyPositions;
  readonly spread: SpreadKind;
  readonly run: Handler;
  readonly group: CommandGroup;
  readonly docs: CommandDocs;
  /** Its second argument selects one of these. */
  readonly subcommands: readonly Command[];
}

/** What distinguishes a command from one without keys, flags and subcommands that any shard answers. */
export type CommandTraits = Partial<Pick<Command, 'flags' | 'keys' | 'spread' | 'subcommands'>>;

/** Makes a function that defines commands of one group. */
export function commandsOf(
  group: CommandGroup,
): (
  name: string,
  arity: number,
  run: Handler,
  traits: CommandTraits,
  since: string,
  complexity: string,
  summary: string,
) => Command {
  return (name, arity, run, traits, since, complexity, summary) => ({
    name,
    arity,
    flags: traits.flags ?? 0,
    keys: traits.keys ?? NO_KEYS,
    spread: traits.spread ?? 'local',
    run,
    group,
    docs: { summary, since, complexity },
    subcommands: traits.subcommands ?? [],
  });
}

/** Whether a command may have this many arguments. */
export function arityFits(command: Command, argc: number): boolean {
  return command.arity < 0 ? argc >= -command.arity : argc === command.arity;
}

/** Index of the last key among `argc` arguments. */
export function lastKey(command: Command, argc: number): number {
  const { last } = command.keys;
  return last < 0 ? argc + last : last;
}
