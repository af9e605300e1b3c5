import type { ReplyWriter } from '../resp/index.js';
import { textOf } from './arguments.js';
import { arityFits, type Command, CommandFlag, commandsOf, lastKey } from './command.js';
import type { CommandContext } from './context.js';

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [CommandFlag.Write, 'write'],
  [CommandFlag.ReadOnly, 'readonly'],
  [CommandFlag.DenyOom, 'denyoom'],
  [CommandFlag.Fast, 'fast'],
  [CommandFlag.Admin, 'admin'],
];

/** Replies with what COMMAND tells about one command, in the form of Redis 7. */
function replyCommand(command: Command, reply: ReplyWriter): void {
  const { name, arity, flags, keys, group, subcommands } = command;
  const flagNames = FLAG_NAMES.filter(([flag]) => (flags & flag) !== 0).map(([, flagName]) => flagName);
  const categories = [
    ...((flags & CommandFlag.Write) !== 0 ? ['@write'] : []),
    ...((flags & CommandFlag.ReadOnly) !== 0 ? ['@read'] : []),
    ...((flags & CommandFlag.Admin) !== 0 ? ['@admin'] : []),
    ...(group === 'string' || group === 'connection' ? [`@${group}`] : []),
    (flags & CommandFlag.Fast) !== 0 ? '@fast' : '@slow',
  ];
  reply.array(10);
  reply.bulkText(name);
  reply.integer(arity);
  replySet(flagNames, reply);
  reply.integer(keys.first);
  reply.integer(keys.last);
  reply.integer(keys.step);
  replySet(categories, reply);
  reply.array(0); // tips for clients
  if (keys.first === 0) reply.array(0);
  else replyKeySpecification(command, reply);
  reply.array(subcommands.length);
  for (const subcommand of subcommands) replyCommand(subcommand, reply);
}

function replySet(names: readonly string[], reply: ReplyWriter): void {
  reply.set(names.length);
  for (const name of names) reply.simple(name);
}

/** One key specification: the keys begin at an index and go on to the last. */
function replyKeySpecification({ flags, keys }: Command, reply: ReplyWriter): void {
  reply.array(1);
  reply.map(3);
  reply.bulkText('flags');
  replySet([(flags & CommandFlag.Write) !== 0 ? 'RW' : 'RO'], reply);
  reply.bulkText('begin_search');
  reply.map(2);
  reply.bulkText('type');
  reply.bulkText('index');
  reply.bulkText('spec');
  reply.map(1);
  reply.bulkText('index');
  reply.integer(keys.first);
  reply.bulkText('find_keys');
  reply.map(2);
  reply.bulkText('type');
  reply.bulkText('range');
  reply.bulkText('spec');
  reply.map(3);
  reply.bulkText('lastkey');
  // Relative to the first key, unless it counts from the end.
  reply.integer(keys.last < 0 ? keys.last : keys.last - keys.first);
  reply.bulkText('keystep');
  reply.integer(keys.step);
  reply.bulkText('limit');
  reply.integer(0);
}

function replyDocs({ name, docs, group, subcommands }: Command, reply: ReplyWriter): void {
  reply.bulkText(name);
  reply.map(subcommands.length > 0 ? 5 : 4);
  reply.bulkText('summary');
  reply.bulkText(docs.summary);
  reply.bulkText('since');
  reply.bulkText(docs.since);
  reply.bulkText('group');
  reply.bulkText(group);
  reply.bulkText('complexity');
  reply.bulkText(docs.complexity);
  if (subcommands.length === 0) return;
  reply.bulkText('subcommands');
  reply.map(subcommands.length);
  for (const subcommand of subcommands) replyDocs(subcommand, reply);
}

/**
 * COMMAND and its subcommands.
 *
 * @param all - The commands that it tells about, by name.
 */
export function introspectionCommands(all: ReadonlyMap<string, Command>): readonly Command[] {
  /** `client|list` is found among the subcommands of `client`. */
  const find = (name: string): Command | undefined => {
    const [container = '', subcommand] = name.toLowerCase().split('|');
    const command = all.get(container);
    return subcommand === undefined
      ? command
      : command?.subcommands.find((candidate) => candidate.name === name.toLowerCase());
  };
  /** The commands named from argument 2 on; undefined for a name that is none. All when none is named. */
  const named = (context: CommandContext, argv: Uint32Array, argc: number): (Command | undefined)[] => {
    if (argc === 2) return [...all.values()];
    const found: (Command | undefined)[] = [];
    for (let index = 2; index < argc; index++) found.push(find(textOf(context, argv, index)));
    return found;
  };

  const replyAll = (commands: readonly (Command | undefined)[], reply: ReplyWriter): void => {
    reply.array(commands.length);
    for (const command of commands) {
      if (command === undefined) reply.nil();
      else replyCommand(command, reply);
    }
  };

  const define = commandsOf('server');
  const subcommands: readonly Command[] = [
    define(
      'command|count',
      2,
      (_context, _argv, _argc, reply) => reply.integer(all.size),
      {},
      '2.8.13',
      'O(1)',
      'Counts the commands.',
    ),
    define(
      'command|docs',
      -2,
      (context, argv, argc, reply) => {
        const commands = named(context, argv, argc).filter((command) => command !== undefined);
        reply.map(commands.length);
        for (const command of commands) replyDocs(command, reply);
      },
      {},
      '7.0.0',
      'O(n), n commands',
      'Describes commands for people.',
    ),
    define(
      'command|info',
      -2,
      (context, argv, argc, reply) => replyAll(named(context, argv, argc), reply),
      {},
      '2.8.13',
      'O(n), n commands',
      'Describes commands for clients.',
    ),
    define(
      'command|list',
      2,
      (_context, _argv, _argc, reply) => {
        reply.array(all.size);
        for (const name of all.keys()) reply.bulkText(name);
      },
      {},
      '7.0.0',
      'O(n), n commands',
      'Returns the names of the commands.',
    ),
    define(
      'command|getkeys',
      -3,
      (context, argv, argc, reply) => replyKeys(find(textOf(context, argv, 2)), argv, argc, reply),
      {},
      '2.8.13',
      'O(n), n arguments',
      'Returns the keys in a command.',
    ),
  ];
  return [
    define(
      'command',
      -1,
      (_context, _argv, _argc, reply) => replyAll([...all.values()], reply),
      { subcommands },
      '2.8.13',
      'O(n), n commands',
      'Describes the commands.',
    ),
  ];
}

/** Replies with the keys of the command line that begins at argument 2. */
function replyKeys(command: Command | undefined, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  if (command === undefined) {
    reply.error('ERR Invalid command specified');
    return;
  }
  if (!arityFits(command, argc - 2)) {
    reply.error('ERR Invalid number of arguments specified for command');
    return;
  }
  const { first, step } = command.keys;
  if (first === 0) {
    reply.error('ERR The command has no key arguments');
    return;
  }
  const last = lastKey(command, argc - 2);
  reply.array(Math.floor((last - first) / step) + 1);
  for (let index = first + 2; index <= last + 2; index += step) {
    reply.bulk(argv[2 * index], argv[2 * index + 1]);
  }
}
