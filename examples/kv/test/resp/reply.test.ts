import { IOBuf } from '@sunstar/iobuf';
import { heapArena, OutOfMemoryError, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import RedisParser from 'redis-parser';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ProtocolVersion, ReplyReader, ReplyWriter } from '../../src/resp/index.js';

let memory: ShardMemory;
let writer: ReplyWriter;
let sink: IOBuf;

beforeEach(() => {
  memory = new ShardMemory(heapArena(16 * 1024 * 1024), { debug: true });
  writer = new ReplyWriter(memory);
  sink = new IOBuf(memory);
});

afterEach(() => {
  sink[Symbol.dispose]();
  expect(memory.stats().liveBlocks).toBe(0);
  memory.invariants();
});

/** What `write` makes of an empty connection. */
function written(write: (reply: ReplyWriter) => void, protocol: ProtocolVersion = 2): string {
  sink.clear();
  writer.begin(sink, protocol);
  write(writer);
  writer.flush();
  return sink.toBuffer().toString('latin1');
}

/** Runs `body` with the bytes in the arena. */
function inArena(bytes: Uint8Array, body: (offset: number, length: number) => void): void {
  const offset = memory.allocate(Math.max(bytes.length, 1));
  memory.bytes.set(bytes, offset);
  body(offset, bytes.length);
  memory.free(offset);
}

describe('forms', () => {
  test.each<[string, string, (reply: ReplyWriter) => void]>([
    ['+OK\r\n', '+OK\r\n', (reply) => reply.ok()],
    ['$-1\r\n', '_\r\n', (reply) => reply.nil()],
    [':0\r\n', ':0\r\n', (reply) => reply.integer(0)],
    ['*3\r\n', '*3\r\n', (reply) => reply.array(3)],
    ['*6\r\n', '%3\r\n', (reply) => reply.map(3)],
    ['*12\r\n', '~12\r\n', (reply) => reply.set(12)],
    ['$3\r\n1.5\r\n', ',1.5\r\n', (reply) => reply.double(1.5)],
    ['$4\r\n-inf\r\n', ',-inf\r\n', (reply) => reply.double(Number.NEGATIVE_INFINITY)],
    ['$3\r\nnan\r\n', ',nan\r\n', (reply) => reply.double(Number.NaN)],
    ['+PONG\r\n', '+PONG\r\n', (reply) => reply.simple('PONG')],
    [
      ':9223372036854775807\r\n',
      ':9223372036854775807\r\n',
      (reply) => reply.integerText('9223372036854775807'),
    ],
    ['-ERR a  b \r\n', '-ERR a  b \r\n', (reply) => reply.error('ERR a\r\nb\n')],
    ['$3\r\na\r\n\r\n', '$3\r\na\r\n\r\n', (reply) => reply.bulkText('a\r\n')],
    ['$0\r\n\r\n', '$0\r\n\r\n', (reply) => reply.bulkText('')],
    ['$2\r\n\xc3\xa4\r\n', '$2\r\n\xc3\xa4\r\n', (reply) => reply.bulkText('ä')],
    ['$4\r\ntext\r\n', '=8\r\ntxt:text\r\n', (reply) => reply.verbatim('text')],
    ['$2\r\n\x00\xff\r\n', '$2\r\n\x00\xff\r\n', (reply) => reply.bulkBytes(Uint8Array.of(0, 255))],
    [':1\r\n', ':1\r\n', (reply) => reply.raw(Buffer.from(':1\r\n'))],
  ])('%j, in RESP3 %j', (resp2, resp3, write) => {
    expect(written(write, 2)).toBe(resp2);
    expect(written(write, 3)).toBe(resp3);
  });

  test('every integer', () => {
    const integers = [
      9,
      10,
      99,
      100,
      999_999_999,
      1e9,
      1e9 + 1,
      2 ** 31,
      2 ** 32,
      1e15,
      Number.MAX_SAFE_INTEGER,
    ];
    for (const value of [...integers, ...integers.map((integer) => -integer)]) {
      expect(written((reply) => reply.integer(value))).toBe(`:${value}\r\n`);
    }
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(written((reply) => reply.integer(value))).toBe(`:${value}\r\n`);
      }),
    );
  });

  test.each([0, 1, 3, 4, 5, 16, 95, 96, 97, 4096, 4097, 300_000])('a bulk of %i bytes', (length) => {
    const bytes = Buffer.from(Array.from({ length }, (_, index) => index % 251));
    inArena(bytes, (offset) => {
      const text = written((reply) => reply.bulk(offset, length));
      expect(text === `$${length}\r\n${bytes.toString('latin1')}\r\n`).toBe(true);
      const pieces = written((reply) => {
        reply.bulkHeader(length);
        const half = Math.floor(length / 2);
        reply.range(offset, half);
        reply.range(offset + half, length - half);
        reply.bulkEnd();
      });
      expect(pieces === text).toBe(true);
    });
  });

  test('long texts', () => {
    const text = 'ä'.repeat(10_000);
    expect(written((reply) => reply.bulkText(text))).toBe(`$20000\r\n${'\xc3\xa4'.repeat(10_000)}\r\n`);
    expect(written((reply) => reply.simple('x'.repeat(5000)))).toBe(`+${'x'.repeat(5000)}\r\n`);
  });
});

describe('a mark', () => {
  test('is a point to go back to, flushed or not', () => {
    const text = written((reply) => {
      reply.ok();
      const mark = reply.mark();
      reply.bulkText('x'.repeat(20_000));
      reply.integer(5);
      reply.rewind(mark);
      reply.integer(7);
      reply.rewind(reply.mark());
    });
    expect(text).toBe('+OK\r\n:7\r\n');
  });

  test('is reached again after memory ran out', () => {
    const small = new ShardMemory(heapArena(1024 * 1024), { debug: false });
    const smallWriter = new ReplyWriter(small);
    using smallSink = new IOBuf(small);
    smallWriter.begin(smallSink, 2);
    smallWriter.integer(1);
    const mark = smallWriter.mark();
    expect(() => {
      for (;;) smallWriter.bulk(0, 70_000);
    }).toThrow(OutOfMemoryError);
    smallWriter.rewind(mark);
    smallWriter.error('OOM sorry');
    smallWriter.flush();
    expect(smallSink.toString()).toBe(':1\r\n-OOM sorry\r\n');
  });
});

test('a connection must be named first', () => {
  expect(() => new ReplyWriter(memory).ok()).toThrow(TypeError);
});

type Reply = null | number | string | Buffer | Error | Reply[];

const scalar = fc.oneof(
  fc.constant(null),
  fc.maxSafeInteger(),
  fc.stringMatching(/^[A-Z]{1,50}$/),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.uint8Array({ minLength: 4000, maxLength: 9000, size: 'max' }).map((bytes) => Buffer.from(bytes)),
  fc.string({ maxLength: 40 }).map((text) => new Error(`ERR ${text}`)),
);
const anyReply: fc.Arbitrary<Reply> = fc.letrec<{ reply: Reply }>((tie) => ({
  reply: fc.oneof({ depthSize: 'small' }, scalar, fc.array(tie('reply'), { maxLength: 5 })),
})).reply;

function write(reply: ReplyWriter, value: Reply): void {
  if (value === null) reply.nil();
  else if (typeof value === 'number') reply.integer(value);
  else if (typeof value === 'string') reply.simple(value);
  else if (value instanceof Error) reply.error(value.message);
  else if (Array.isArray(value)) {
    reply.array(value.length);
    for (const element of value) write(reply, element);
  } else if (value.length % 2 === 0) reply.bulkBytes(value);
  else inArena(value, (offset, length) => reply.bulk(offset, length));
}

/** Replies in a form that is compared fast; statuses count as bulks, as redis-parser returns them. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Error) return `-${value.message.replace(/[\r\n]/g, ' ')}`;
  if (typeof value === 'string') return Buffer.from(value).toString('latin1');
  return Buffer.isBuffer(value) ? value.toString('latin1') : value;
}

test('redis-parser reads back what was written', () => {
  fc.assert(
    fc.property(fc.array(anyReply, { maxLength: 20 }), (replies) => {
      sink.clear();
      writer.begin(sink, 2);
      for (const reply of replies) write(writer, reply);
      writer.flush();
      const received: unknown[] = [];
      const parser = new RedisParser({
        returnReply: (reply: unknown) => received.push(reply),
        returnError: (error: Error) => received.push(error),
        returnFatalError: (error: Error) => {
          throw error;
        },
        returnBuffers: true,
      });
      parser.execute(sink.toBuffer());
      expect(received.map(plain)).toEqual(replies.map(plain));
    }),
    { numRuns: 200 },
  );
});

describe('ReplyReader', () => {
  test('reads what shards answer each other', () => {
    const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
    expect(new ReplyReader(bytes('-ERR no\r\n')).errorText()).toBe('ERR no');
    expect(new ReplyReader(bytes(':-12\r\n')).errorText()).toBeNull();
    expect(new ReplyReader(bytes(':-12\r\n')).number()).toBe(-12);
    expect(new ReplyReader(bytes('$-1\r\n')).isNil()).toBe(true);
    expect(new ReplyReader(bytes('_\r\n')).isNil()).toBe(true);
    expect(new ReplyReader(bytes('$1\r\n-\r\n')).isNil()).toBe(false);
    expect(new ReplyReader(bytes('=7\r\ntxt:abc\r\n')).bulk()).toEqual(bytes('abc'));
    expect(() => new ReplyReader(bytes('hello')).number()).toThrow('no reply');
    expect(() => new ReplyReader(bytes('*1\r\n')).element()).toThrow('no element');

    const array = new ReplyReader(bytes('*4\r\n$3\r\n\r\n\r\r\n_\r\n$-1\r\n:5\r\n'));
    expect(array.number()).toBe(4);
    expect([1, 2, 3].map(() => Buffer.from(array.element()).toString())).toEqual([
      '$3\r\n\r\n\r\r\n',
      '_\r\n',
      '$-1\r\n',
    ]);
    expect(Buffer.from(array.rest()).toString()).toBe(':5\r\n');
  });
});
