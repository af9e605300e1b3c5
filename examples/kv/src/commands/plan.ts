import type { ReplyWriter } from '../resp/index.js';
import { shardOfSlot, slotOf } from '../slots.js';
import { arityFits, type Command, lastKey } from './command.js';
import type { CommandContext } from './context.js';
import { subcommandOf } from './execute.js';
import { wantedSections } from './info.js';
import { cursorShard } from './keys.js';
import {
  allOk,
  concatenate,
  type Finish,
  gather,
  joinTexts,
  mergeInfo,
  pick,
  renameAcross,
  sum,
} from './merge.js';
import { COMMANDS } from './table.js';

/** {@link route} returns it for a command that several shards take part in. */
export const SEVERAL_SHARDS = -1;

const CROSS_SHARD =
  'CROSSSLOT Keys of MSETNX live on different shards; give them a common {hash tag}, or use MSET';

/** What one shard is asked to do. */
export interface ShardRequest {
  readonly shard: number;
  /**
   * Writes the request, one command in RESP. For the first round it must be called before the bytes of the
   * client's command are moved or overwritten; for a later one, before the replies that led to it are.
   */
  write(writer: ReplyWriter): void;
}

/** One round of a command that several shards take part in. */
export interface Spread {
  /** May be empty, and may name the connection's own shard. */
  readonly requests: readonly ShardRequest[];
  /**
   * Puts the replies together.
   *
   * @param replies - The reply to each request, complete.
   * @param reply - Receives the client's reply, unless there is another round.
   * @returns The next round, or null when the client's reply has been written.
   */
  finish(replies: readonly Uint8Array[], reply: ReplyWriter): Spread | null;
}

/** The shard that owns a key. */
export function ownerOf(context: CommandContext, keyOffset: number, keyLength: number): number {
  return shardOfSlot(slotOf(context.bytes, keyOffset, keyLength), context.shardCount);
}

/**
 * Says which shard executes a client's command. What is wrong with a command that has an error is said by the
 * shard that gets it.
 *
 * @param argc - At least 1.
 * @returns A shard, often the connection's own; or SEVERAL_SHARDS: see {@link spread}.
 */
export function route(context: CommandContext, argv: Uint32Array, argc: number): number {
  if (context.shardCount === 1) return context.shardId;
  const command = commandOf(context, argv, argc);
  if (command === null) return context.shardId;
  switch (command.spread) {
    case 'key':
      return ownerOf(context, argv[2], argv[3]);
    case 'local':
      return context.shardId;
    case 'cursor': {
      const shard = cursorShard(context, argv);
      return shard < 0 ? context.shardId : shard;
    }
    case 'gather':
    case 'sum':
    case 'pairs':
    case 'same':
    case 'rename':
      return commonOwner(context, command, argv, argc);
    default:
      return SEVERAL_SHARDS;
  }
}

/** The first round of a command for which {@link route} returned SEVERAL_SHARDS. */
export function spread(context: CommandContext, argv: Uint32Array, argc: number): Spread {
  const command = commandOf(context, argv, argc);
  switch (command?.spread) {
    case 'gather':
      return divide(context, command, argv, argc, gather);
    case 'sum':
      return divide(context, command, argv, argc, () => sum);
    case 'pairs':
      return divide(context, command, argv, argc, () => allOk);
    case 'rename':
      return renameAcross(keyAndOwner(context, argv, 1), keyAndOwner(context, argv, 2));
    case 'all-sum':
      return toAll(context, argv, argc, sum);
    case 'all-concat':
      return toAll(context, argv, argc, concatenate);
    case 'all-ok':
      return toAll(context, argv, argc, allOk);
    case 'all-pick':
      return toAll(context, argv, argc, pick);
    case 'all-text':
      return toAll(context, argv, argc, joinTexts);
    case 'all-info':
      return infoOfAll(context, argv, argc);
    default:
      return { requests: [], finish: refuse };
  }
}

/** The command or subcommand, if it has as many arguments as it must. */
function commandOf(context: CommandContext, argv: Uint32Array, argc: number): Command | null {
  let command = COMMANDS.find(context.bytes, argv[0], argv[1]);
  if (command !== null && command.subcommands.length > 0 && argc > 1) {
    command = subcommandOf(context, command, argv);
  }
  return command !== null && arityFits(command, argc) ? command : null;
}

function commonOwner(context: CommandContext, command: Command, argv: Uint32Array, argc: number): number {
  const { first, step } = command.keys;
  const last = lastKey(command, argc);
  // A key without its value: whoever gets the command says so.
  if ((last - first + 1) % step !== 0) return context.shardId;
  const owner = ownerOf(context, argv[2 * first], argv[2 * first + 1]);
  for (let index = first + step; index <= last; index += step) {
    if (ownerOf(context, argv[2 * index], argv[2 * index + 1]) !== owner) return SEVERAL_SHARDS;
  }
  return owner;
}

function refuse(_replies: readonly Uint8Array[], reply: ReplyWriter): null {
  reply.error(CROSS_SHARD);
  return null;
}

/** Gives each owner the keys, and what goes with them, that it owns. */
function divide(
  context: CommandContext,
  command: Command,
  argv: Uint32Array,
  argc: number,
  finishWith: (owners: readonly number[]) => Finish,
): Spread {
  const { first, step } = command.keys;
  /** Indexes of the arguments of each request. */
  const parts: number[][] = [];
  const partOfShard = new Map<number, number>();
  const shards: number[] = [];
  const owners: number[] = [];
  for (let index = first; index <= lastKey(command, argc); index += step) {
    const shard = ownerOf(context, argv[2 * index], argv[2 * index + 1]);
    let part = partOfShard.get(shard);
    if (part === undefined) {
      part = parts.length;
      partOfShard.set(shard, part);
      parts.push([0]);
      shards.push(shard);
    }
    owners.push(part);
    for (let offset = 0; offset < step; offset++) parts[part].push(index + offset);
  }
  return {
    requests: parts.map((indexes, part) => ({
      shard: shards[part],
      write: (writer) => {
        writer.array(indexes.length);
        for (const index of indexes) writer.bulk(argv[2 * index], argv[2 * index + 1]);
      },
    })),
    finish: finishWith(owners),
  };
}

/** Gives every shard the command as it is. */
function toAll(context: CommandContext, argv: Uint32Array, argc: number, finish: Finish): Spread {
  const write = (writer: ReplyWriter): void => {
    writer.array(argc);
    for (let index = 0; index < argc; index++) writer.bulk(argv[2 * index], argv[2 * index + 1]);
  };
  return { requests: everyShard(context, write), finish };
}

function infoOfAll(context: CommandContext, argv: Uint32Array, argc: number): Spread {
  const write = (writer: ReplyWriter): void => {
    writer.array(1);
    writer.bulkText('counters');
  };
  return {
    requests: everyShard(context, write),
    finish: mergeInfo(context, wantedSections(context, argv, argc)),
  };
}

function everyShard(context: CommandContext, write: ShardRequest['write']): ShardRequest[] {
  return Array.from({ length: context.shardCount }, (_, shard) => ({ shard, write }));
}

function keyAndOwner(
  context: CommandContext,
  argv: Uint32Array,
  index: number,
): { key: Buffer; shard: number } {
  const offset = argv[2 * index];
  const length = argv[2 * index + 1];
  return {
    key: Buffer.from(context.bytes.subarray(offset, offset + length)),
    shard: ownerOf(context, offset, length),
  };
}
