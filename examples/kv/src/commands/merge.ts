import { ReplyReader, type ReplyWriter } from '../resp/index.js';
import { NO_SUCH_KEY } from './arguments.js';
import type { CommandContext, InfoLine } from './context.js';
import { infoText, sumCounters } from './info.js';
import type { Spread } from './plan.js';

// How the replies of several shards become one. Replies come in the order of the requests; the first error among
// them is the error of the whole command.

export type Finish = Spread['finish'];

/** Writes the first error among the replies; false when there is none. */
function writeError(replies: readonly Uint8Array[], reply: ReplyWriter): boolean {
  for (const bytes of replies) {
    const text = new ReplyReader(bytes).errorText();
    if (text === null) continue;
    reply.error(text);
    return true;
  }
  return false;
}

function finishing(write: (replies: readonly Uint8Array[], reply: ReplyWriter) => void): Finish {
  return (replies, reply) => {
    if (!writeError(replies, reply)) write(replies, reply);
    return null;
  };
}

/** Integers are added. */
export const sum: Finish = finishing((replies, reply) => {
  reply.integer(replies.reduce((total, bytes) => total + new ReplyReader(bytes).number(), 0));
});

/** OK if all say so. */
export const allOk: Finish = finishing((_replies, reply) => reply.ok());

/** Arrays are put one after the other. */
export const concatenate: Finish = finishing((replies, reply) => {
  const readers = replies.map((bytes) => new ReplyReader(bytes));
  reply.array(readers.reduce((total, reader) => total + reader.number(), 0));
  for (const reader of readers) reply.raw(reader.rest());
});

/** One reply that is not nil, chosen at random; nil when all are. */
export const pick: Finish = finishing((replies, reply) => {
  const found = replies.filter((bytes) => !new ReplyReader(bytes).isNil());
  if (found.length === 0) reply.nil();
  else reply.raw(found[Math.floor(Math.random() * found.length)]);
});

/** Texts are put one after the other. */
export const joinTexts: Finish = finishing((replies, reply) => {
  const texts = replies.map((bytes) => Buffer.from(new ReplyReader(bytes).bulk()).toString('utf8'));
  reply.verbatim(texts.join(''));
});

/** The elements of the shards' arrays, in the order of the keys; `owners[i]` is the request that key i is in. */
export function gather(owners: readonly number[]): Finish {
  return finishing((replies, reply) => {
    const readers = replies.map((bytes) => new ReplyReader(bytes));
    for (const reader of readers) reader.number();
    reply.array(owners.length);
    for (const owner of owners) reply.raw(readers[owner].element());
  });
}

/** INFO of the sections, with the counters of all shards added up. */
export function mergeInfo(context: CommandContext, sections: ReadonlySet<string>): Finish {
  return finishing((replies, reply) => {
    const counters = replies.map((bytes) => {
      const json = Buffer.from(new ReplyReader(bytes).bulk()).toString('utf8');
      return JSON.parse(json) as InfoLine<number>[];
    });
    reply.verbatim(infoText(context, sections, sumCounters(counters)));
  });
}

/** RENAME from one shard to another: read the value, set the new key, delete the old one. */
export function renameAcross(
  source: { readonly key: Uint8Array; readonly shard: number },
  target: { readonly key: Uint8Array; readonly shard: number },
): Spread {
  const request = (shard: number, ...args: readonly (Uint8Array | string)[]): Spread['requests'] => [
    {
      shard,
      write: (writer) => {
        writer.array(args.length);
        for (const arg of args) {
          if (typeof arg === 'string') writer.bulkText(arg);
          else writer.bulkBytes(arg);
        }
      },
    },
  ];
  const remove: Spread = { requests: request(source.shard, 'del', source.key), finish: allOk };
  return {
    requests: request(source.shard, 'dump', source.key),
    finish: (replies, reply) => {
      if (writeError(replies, reply)) return null;
      const reader = new ReplyReader(replies[0]);
      if (reader.number() === 0) {
        reply.error(NO_SUCH_KEY);
        return null;
      }
      const expireAtMs = reader.number();
      const value = reader.bulk();
      const expiry = expireAtMs === 0 ? [] : ['pxat', String(expireAtMs)];
      return {
        requests: request(target.shard, 'set', target.key, value, ...expiry),
        finish: (setReplies, setReply) => (writeError(setReplies, setReply) ? null : remove),
      };
    },
  };
}
