import type { ReplyWriter } from '../resp/index.js';
import { NEVER, NONE } from '../store/index.js';
import { OUT_OF_MEMORY, replyValue, wrongArity } from './arguments.js';
import { ALL_KEYS, type Command, CommandFlag, commandsOf, EVERY_SECOND } from './command.js';
import type { CommandContext } from './context.js';

function mget(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  reply.array(argc - 1);
  for (let index = 1; index < argc; index++) {
    const entry = context.store.lookup(argv[2 * index], argv[2 * index + 1]);
    if (entry === NONE) reply.nil();
    else replyValue(context, entry, reply);
  }
}

function mset(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  if (argc % 2 === 0) reply.error(wrongArity('mset'));
  else if (setAll(context, argv, argc)) reply.ok();
  else reply.error(OUT_OF_MEMORY);
}

function msetnx(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  if (argc % 2 === 0) {
    reply.error(wrongArity('msetnx'));
    return;
  }
  for (let index = 1; index < argc; index += 2) {
    if (context.store.find(argv[2 * index], argv[2 * index + 1]) !== NONE) {
      reply.integer(0);
      return;
    }
  }
  if (setAll(context, argv, argc)) reply.integer(1);
  else reply.error(OUT_OF_MEMORY);
}

/** Entries that setAll has prepared; kept between calls. */
let prepared: Int32Array = new Int32Array(64);

/** Sets all keys or, when there is no memory for all of them, none. */
function setAll(context: CommandContext, argv: Uint32Array, argc: number): boolean {
  const { store } = context;
  const pairs = (argc - 1) / 2;
  let payloadBytes = 0;
  for (let index = 1; index < argc; index++) payloadBytes += argv[2 * index + 1];
  if (!store.journal.admit(pairs, payloadBytes)) return false;

  if (prepared.length < pairs) prepared = new Int32Array(pairs);
  for (let pair = 0; pair < pairs; pair++) {
    const at = 4 * pair + 2;
    const entry = store.prepare(argv[at], argv[at + 1], argv[at + 3], NEVER);
    if (entry === NONE) {
      for (let done = 0; done < pair; done++) store.discard(prepared[done]);
      return false;
    }
    store.write(entry, 0, argv[at + 2], argv[at + 3]);
    prepared[pair] = entry;
  }
  for (let pair = 0; pair < pairs; pair++) store.commit(prepared[pair]);
  return true;
}

function del(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  const { store } = context;
  let deleted = 0;
  for (let index = 1; index < argc; index++) {
    const entry = store.find(argv[2 * index], argv[2 * index + 1]);
    if (entry === NONE) continue;
    if (!store.delete(entry)) {
      reply.error(OUT_OF_MEMORY);
      return;
    }
    deleted++;
  }
  reply.integer(deleted);
}

function exists(context: CommandContext, argv: Uint32Array, argc: number, reply: ReplyWriter): void {
  let found = 0;
  for (let index = 1; index < argc; index++) {
    if (context.store.lookup(argv[2 * index], argv[2 * index + 1]) !== NONE) found++;
  }
  reply.integer(found);
}

const strings = commandsOf('string');
const generic = commandsOf('generic');
const { Write, DenyOom, ReadOnly, Fast } = CommandFlag;
const gather = { flags: ReadOnly | Fast, keys: ALL_KEYS, spread: 'gather' } as const;
const pairs = { flags: Write | DenyOom, keys: EVERY_SECOND, spread: 'pairs' } as const;
const same = { flags: Write | DenyOom, keys: EVERY_SECOND, spread: 'same' } as const;
const remove = { flags: Write, keys: ALL_KEYS, spread: 'sum' } as const;
const count = { flags: ReadOnly | Fast, keys: ALL_KEYS, spread: 'sum' } as const;

export const MULTI_KEY_COMMANDS: readonly Command[] = [
  strings(
    'mget',
    -2,
    mget,
    gather,
    '1.0.0',
    'O(n), n keys',
    'Returns the values of keys, nil for a missing one.',
  ),
  strings('mset', -3, mset, pairs, '1.0.1', 'O(n), n keys', 'Sets keys; on each shard all of them or none.'),
  strings(
    'msetnx',
    -3,
    msetnx,
    same,
    '1.0.1',
    'O(n), n keys',
    'Sets keys of one shard if none of them exists.',
  ),
  generic('del', -2, del, remove, '1.0.0', 'O(n), n keys', 'Deletes keys.'),
  generic('unlink', -2, del, remove, '4.0.0', 'O(n), n keys', 'Deletes keys, as DEL does.'),
  generic('exists', -2, exists, count, '1.0.0', 'O(n), n keys', 'Counts the keys that exist.'),
];
