import type { ReplyWriter } from '../resp/index.js';
import {
  integerOf,
  isWord,
  NOT_AN_INTEGER,
  needsSubcommand,
  SYNTAX_ERROR,
  textOf,
  word,
  wrongArity,
} from './arguments.js';
import { type Command, CommandFlag, commandsOf } from './command.js';
import type { ClientState, CommandContext } from './context.js';

/** The version of Redis whose commands and replies this server follows, for clients that ask. */
export const REDIS_VERSION = '7.0.0';

const AUTH = word('auth');
const SETNAME = word('setname');
const DEFAULT_USER = word('default');
const LIB_NAME = word('lib-name');
const LIB_VER = word('lib-ver');

const BAD_NAME = 'ERR Client names cannot contain spaces, newlines or special characters.';

/** Whether a name fits into a line of CLIENT LIST. */
function isPlain(text: string): boolean {
  return /^[!-~]*$/.test(text);
}

function ping(_context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  if (argc === 1) reply.simple('PONG');
  else if (argc === 2) reply.bulk(argv[2], argv[3]);
  else reply.error(wrongArity('ping'));
}

function echo(_context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  reply.bulk(argv[2], argv[3]);
}

/** `HELLO [version [AUTH user password] [SETNAME name]]`. */
function hello(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  const { client } = context;
  let version: number = client.protocol;
  let name = client.name;
  if (argc > 1) {
    version = integerOf(context, argv, 1);
    if (Number.isNaN(version)) {
      reply.error('ERR Protocol version is not an integer or out of range');
      return;
    }
    if (version !== 2 && version !== 3) {
      reply.error('NOPROTO unsupported protocol version');
      return;
    }
  }
  for (let index = 2; index < argc; ) {
    if (index + 2 < argc && isWord(context, argv, index, AUTH)) {
      // There are no users but the default one, which needs no password and takes any.
      if (!isWord(context, argv, index + 1, DEFAULT_USER)) {
        reply.error('WRONGPASS invalid username-password pair or user is disabled.');
        return;
      }
      index += 3;
    } else if (index + 1 < argc && isWord(context, argv, index, SETNAME)) {
      name = textOf(context, argv, index + 1);
      if (!isPlain(name)) {
        reply.error(BAD_NAME);
        return;
      }
      index += 2;
    } else {
      reply.error(`ERR Syntax error in HELLO option '${textOf(context, argv, index)}'`);
      return;
    }
  }
  client.protocol = version === 3 ? 3 : 2;
  client.name = name;
  reply.protocol = client.protocol;
  reply.map(7);
  reply.bulkText('server');
  reply.bulkText('redis');
  reply.bulkText('version');
  reply.bulkText(REDIS_VERSION);
  reply.bulkText('proto');
  reply.integer(client.protocol);
  reply.bulkText('id');
  reply.integer(client.id);
  reply.bulkText('mode');
  reply.bulkText('standalone');
  reply.bulkText('role');
  reply.bulkText('master');
  reply.bulkText('modules');
  reply.array(0);
}

function select(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const database = integerOf(context, argv, 1);
  if (database === 0) reply.ok();
  else if (Number.isNaN(database)) reply.error(NOT_AN_INTEGER);
  else reply.error('ERR DB index is out of range');
}

function quit(context: CommandContext, _argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  context.client.closing = true;
  reply.ok();
}

function clientId(context: CommandContext, _argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  reply.integer(context.client.id);
}

function clientSetname(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const name = textOf(context, argv, 2);
  if (!isPlain(name)) {
    reply.error(BAD_NAME);
    return;
  }
  context.client.name = name;
  reply.ok();
}

function clientGetname(context: CommandContext, _argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  if (context.client.name === '') reply.nil();
  else reply.bulkText(context.client.name);
}

function clientSetinfo(context: CommandContext, argv: Uint32Array, _argc: number, reply: ReplyWriter): void {
  const value = textOf(context, argv, 3);
  const isName = isWord(context, argv, 2, LIB_NAME);
  if (!isName && !isWord(context, argv, 2, LIB_VER)) {
    reply.error(`ERR Unrecognized option '${textOf(context, argv, 2)}'`);
  } else if (!isPlain(value)) {
    const option = isName ? 'lib-name' : 'lib-ver';
    reply.error(`ERR ${option} cannot contain spaces, newlines or special characters.`);
  } else {
    if (isName) context.client.libraryName = value;
    else context.client.libraryVersion = value;
    reply.ok();
  }
}

function clientList(context: CommandContext, _argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  if (argc > 2) reply.error(SYNTAX_ERROR);
  else reply.verbatim(context.server.clientList());
}

/**
 * The fields of a CLIENT LIST line that the commands know; the server puts its own, such as `addr` and `fd`,
 * before them.
 */
export function clientFields(client: ClientState): string {
  return (
    `name=${client.name} db=0 resp=${client.protocol} ` +
    `lib-name=${client.libraryName} lib-ver=${client.libraryVersion}`
  );
}

const define = commandsOf('connection');
const fast = { flags: CommandFlag.Fast } as const;

const CLIENT_COMMANDS: readonly Command[] = [
  define('client|id', 2, clientId, fast, '5.0.0', 'O(1)', 'Returns the number of the connection.'),
  define('client|setname', 3, clientSetname, fast, '2.6.9', 'O(1)', 'Names the connection.'),
  define('client|getname', 2, clientGetname, fast, '2.6.9', 'O(1)', 'Returns the name of the connection.'),
  define(
    'client|setinfo',
    4,
    clientSetinfo,
    fast,
    '7.2.0',
    'O(1)',
    'Tells the name or version of the client library.',
  ),
  define(
    'client|list',
    -2,
    clientList,
    { flags: CommandFlag.Admin, spread: 'all-text' },
    '2.4.0',
    'O(n), n connections',
    'Lists the connections.',
  ),
];

export const CONNECTION_COMMANDS: readonly Command[] = [
  define('ping', -1, ping, fast, '1.0.0', 'O(1)', 'Answers PONG, or the argument.'),
  define('echo', 2, echo, fast, '1.0.0', 'O(1)', 'Answers the argument.'),
  define('hello', -1, hello, fast, '6.0.0', 'O(1)', 'Chooses the protocol and describes the server.'),
  define('select', 2, select, fast, '1.0.0', 'O(1)', 'Chooses the database; there is only number 0.'),
  define('quit', -1, quit, fast, '1.0.0', 'O(1)', 'Closes the connection.'),
  define(
    'client',
    -2,
    needsSubcommand,
    { subcommands: CLIENT_COMMANDS },
    '2.4.0',
    'Depends on the subcommand.',
    'Commands about connections.',
  ),
];
