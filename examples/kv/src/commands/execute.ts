import { OutOfMemoryError } from '@sunstar/runtime';
import type { ReplyWriter } from '../resp/index.js';
import { KEY_BYTES_MAX } from '../store/index.js';
import { keyTooLong, OUT_OF_MEMORY, textOf, wrongArity } from './arguments.js';
import { arityFits, type Command, CommandFlag, lastKey } from './command.js';
import type { CommandContext } from './context.js';
import { COMMANDS, SHARD_COMMANDS } from './table.js';

const GATED = CommandFlag.Write | CommandFlag.DenyOom;
/** Redis cuts names and arguments that it quotes in an error to this length. */
const QUOTED_MAX = 128;

/**
 * Executes a client's command and writes its one reply. Synchronous; never throws on account of the client.
 *
 * @param argc - At least 1.
 * @throws OutOfMemoryError when there is no memory even for an error reply; the connection must be closed.
 */
export function execute(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  const command = COMMANDS.find(context.bytes, argv[0], argv[1]);
  if (command === null) replyUnknown(context, argv, argc, reply);
  else run(context, command, argv, argc, reply);
}

/** As {@link execute} for a request of another shard, which may be one of the internal commands. */
export function executeForShard(
  context: CommandContext,
  argv: Uint32Array,
  argc: number,
  reply: ReplyWriter,
): void {
  const command = SHARD_COMMANDS.find(context.bytes, argv[0], argv[1]);
  if (command === null) replyUnknown(context, argv, argc, reply);
  else run(context, command, argv, argc, reply);
}

function run(
  context: CommandContext,
  found: Command,
  argv: Uint32Array,
  argc: number,
  reply: ReplyWriter,
): void {
  context.commandsProcessed++;
  let command = found;
  if (command.subcommands.length > 0 && argc > 1) {
    const subcommand = subcommandOf(context, command, argv);
    if (subcommand === null) {
      replyUnknownSubcommand(context, command, argv, reply);
      return;
    }
    command = subcommand;
  }
  if (!arityFits(command, argc)) {
    reply.error(wrongArity(command.name));
    return;
  }
  if ((command.flags & GATED) !== 0 && !isAdmitted(context, command, argv, argc, reply)) return;
  const start = reply.mark();
  try {
    command.run(context, argv, argc, reply);
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    // The reply did not fit into the arena.
    reply.rewind(start);
    reply.error(OUT_OF_MEMORY);
  }
}

/** The subcommand that argument 1 names, or null. */
export function subcommandOf(context: CommandContext, command: Command, argv: Uint32Array): Command | null {
  const name = `${command.name}|${textOf(context, argv, 1, QUOTED_MAX).toLowerCase()}`;
  return command.subcommands.find((candidate) => candidate.name === name) ?? null;
}

/** Whether a writing command may run now; if not, the error has been written. */
function isAdmitted(
  context: CommandContext,
  command: Command,
  argv: Uint32Array,
  argc: number,
  reply: ReplyWriter,
): boolean {
  if (context.writeRefusal !== null && (command.flags & CommandFlag.Write) !== 0) {
    reply.error(context.writeRefusal);
    return false;
  }
  if ((command.flags & CommandFlag.DenyOom) === 0) return true;
  if (context.store.usedBytes > context.store.maxBytes) {
    reply.error(OUT_OF_MEMORY);
    return false;
  }
  const last = lastKey(command, argc);
  for (let index = command.keys.first; index <= last; index += command.keys.step) {
    if (argv[2 * index + 1] > KEY_BYTES_MAX) {
      reply.error(keyTooLong(argv[2 * index + 1]));
      return false;
    }
  }
  return true;
}

function replyUnknown(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  const name = textOf(context, argv, 0, QUOTED_MAX);
  const lowerName = name.toLowerCase();
  // A web page that was tricked into talking to us: hang up before its body is taken for commands.
  if (lowerName === 'post' || lowerName === 'host:') context.client.closing = true;
  let quoted = '';
  for (let index = 1; index < argc && quoted.length < QUOTED_MAX; index++) {
    quoted += `'${textOf(context, argv, index, QUOTED_MAX - quoted.length)}' `;
  }
  reply.error(`ERR unknown command '${name}', with args beginning with: ${quoted}`);
}

function replyUnknownSubcommand(
  context: CommandContext,
  command: Command,
  argv: Uint32Array,
  reply: ReplyWriter,
): void {
  const name = textOf(context, argv, 1, QUOTED_MAX);
  reply.error(`ERR unknown subcommand '${name}'. Try ${command.name.toUpperCase()} HELP.`);
}
