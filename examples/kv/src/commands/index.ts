/**
 * The commands of the key-value server, and the seam between them and the server around them. Everything below
 * this line of the program is synchronous and knows neither sockets nor files nor other threads; it works on one
 * shard's memory. The server moves bytes between connections, shards and the log.
 *
 * **Per shard** the server makes one Store (`../store`), one ReplyWriter (`../resp`), one Config, and one
 * CommandContext that holds them. It sets `store.journal` once replay is done, `store.nowMs` (wall clock) before
 * each batch of commands, and calls `store.maintain(budget)` about ten times a second. Nothing of it may be used
 * on another thread.
 *
 * **Per connection** it makes one RequestParser, one ClientState, and an IOBuf for the output.
 *
 * **For each batch of received bytes**, which lie in one contiguous range of the arena:
 *
 * ```ts
 * context.client = client;
 * reply.begin(output, client.protocol);
 * while (parser.parse(start, end) === ParseStatus.Complete) {
 *   if (parser.argc > 0) {
 *     const shard = route(context, parser.argv, parser.argc);
 *     if (shard === context.shardId) execute(context, parser.argv, parser.argc, reply);
 *     // else: flush, and continue below; later replies of this connection wait for this one
 *   }
 *   start += parser.consumedBytes;
 *   if (client.closing || client.pauseMs > 0) break;
 * }
 * reply.flush();
 * ```
 *
 * NeedMore: keep the bytes from `start` on, contiguous, with room for `parser.neededBytes`; they may move.
 * ProtocolError: `reply.error('ERR ' + parser.error)`, send, close. OutOfMemoryError out of `execute` or `flush`:
 * there is no memory even for an error; close the connection. A HELLO changes `client.protocol` and the writer's.
 *
 * **Another shard's command** ({@link route} names it): send it the request's bytes, `consumedBytes` from `start`,
 * and `client.protocol`. There they are copied into the arena, parsed, and executed with {@link execute}; the
 * reply's bytes come back and are appended to the output as they are. Commands of one connection to one shard
 * must arrive in their order.
 *
 * **A command of several shards** ({@link SEVERAL_SHARDS}): {@link spread} gives the first round. Write its
 * requests at once, each into a buffer of its own (`request.write(writer)`, before the client's bytes move), send
 * them with `client.protocol`, execute them with {@link executeForShard} — the connection's own shard takes part
 * like any other — and when all replies are there call `finish(replies, reply)`, which writes the client's reply
 * or returns another round: the same again, its requests written before the replies go away.
 *
 * **What is atomic.** A command whose keys are all on one shard is, and is logged as a whole before or after any
 * other. Across shards MGET, EXISTS, DEL, UNLINK, MSET, KEYS, DBSIZE and the flushes are done shard by shard:
 * others may see some of it done, and MSET is all or nothing on each shard only. RENAME to another shard copies,
 * then deletes: both keys exist in between, and what is written to the old one in between is lost. MSETNX across
 * shards is refused with -CROSSSLOT. Keys with a common {hash tag} are on one shard.
 *
 * **Writes** report what they did to `store.journal` (`../store/journal.ts`), synchronously, before their reply
 * is written or sent. `context.writeRefusal` stops them while the log cannot take any.
 *
 * Replies are those of Redis 7.0, byte by byte, except: INCRBYFLOAT adds decimals exactly, and `3000 + 0.005` is
 * `3000.005`; keys have at most 65,535 bytes; a malformed length or a missing CRLF ends the connection as soon as
 * it is seen; DEBUG SLEEP pauses its own connection only.
 */
export type { Command, Handler } from './command.js';
export {
  Config,
  choiceParameter,
  fixedParameter,
  integerParameter,
  memoryParameter,
  type Parameter,
} from './config.js';
export { clientFields, REDIS_VERSION } from './connection.js';
export { ClientState, CommandContext, type InfoLine, type ServerInfo, type WriteRefusal } from './context.js';
export { execute, executeForShard } from './execute.js';
export { ownerOf, route, SEVERAL_SHARDS, type ShardRequest, type Spread, spread } from './plan.js';
