import { createRequire } from 'node:module';
import { createGzip } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Cursor, IOBuf, transform } from '../src/index.js';
import { debugMemory, runs } from './support.js';

const require = createRequire(import.meta.url);
const memory = debugMemory();

/** The same content cut at these places. */
function cut(bytes: Uint8Array, at: readonly number[]): IOBuf {
  const buffer = new IOBuf(memory);
  const borders = [0, ...at.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let i = 1; i < borders.length; i++) {
    using piece = IOBuf.from(bytes.subarray(borders[i - 1], borders[i]), memory);
    buffer.link(piece);
  }
  return buffer;
}

interface KafkaRecord {
  readonly offsetDelta: number;
  readonly timestampDelta: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
}

interface KafkaBatch {
  readonly firstOffset: bigint;
  readonly firstTimestamp: bigint;
  readonly partitionLeaderEpoch: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly records: readonly KafkaRecord[];
}

interface KafkaEncoder {
  readonly buffer: Buffer;
}

interface Long {
  fromValue(value: string): object;
}

const KAFKA = 'kafkajs/src/protocol/recordBatch';
const { RecordBatch } = require(`${KAFKA}/v0`) as { RecordBatch: (batch: object) => Promise<KafkaEncoder> };
const encodeRecord = require(`${KAFKA}/record/v0`) as (record: object) => KafkaEncoder;
const KafkaDecoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object;
const decodeBatch = require(`${KAFKA}/v0/decoder`) as (
  decoder: object,
) => Promise<{ records: { key: Buffer | null; value: Buffer | null; offset: string }[] }>;
const long = require('kafkajs/src/utils/long') as Long;

const GZIP = 1;

function appendField(buffer: IOBuf, bytes: Buffer | null): void {
  if (bytes === null) buffer.appendZigZag(-1);
  else buffer.appendZigZag(bytes.length).append(bytes);
}

/** A Kafka record batch (format 2), made the way a broker would: lengths and checksum are filled in last. */
async function encodeBatch(batch: KafkaBatch, compress: boolean): Promise<IOBuf> {
  const buffer = new IOBuf(memory);
  buffer.appendBigI64BE(batch.firstOffset);
  const length = buffer.placeholder(4);
  buffer.appendI32BE(batch.partitionLeaderEpoch).appendI8(2);
  const checksum = buffer.placeholder(4);
  const start = buffer.sizeBytes;
  buffer
    .appendI16BE(compress ? GZIP : 0)
    .appendI32BE(batch.records.length - 1)
    .appendBigI64BE(batch.firstTimestamp)
    .appendBigI64BE(batch.firstTimestamp)
    .appendBigI64BE(batch.producerId)
    .appendI16BE(batch.producerEpoch)
    .appendI32BE(batch.firstSequence)
    .appendI32BE(batch.records.length);
  using records = new IOBuf(memory);
  for (const record of batch.records) {
    using body = new IOBuf(memory);
    body.appendI8(0).appendZigZag(record.timestampDelta).appendZigZag(record.offsetDelta);
    appendField(body, record.key);
    appendField(body, record.value);
    body.appendZigZag(Object.keys(record.headers).length);
    for (const [name, value] of Object.entries(record.headers)) {
      appendField(body, Buffer.from(name));
      appendField(body, value);
    }
    records.appendZigZag(body.sizeBytes).take(body);
  }
  if (compress) {
    using packed = await transform(records, createGzip());
    buffer.take(packed);
  } else {
    buffer.take(records);
  }
  length.setI32BE(buffer.sizeBytes - 12);
  using summed = buffer.slice(start);
  checksum.setU32BE(summed.crc32c());
  return buffer;
}

function readField(cursor: Cursor): Buffer | null {
  const length = cursor.readZigZag();
  if (length < 0) return null;
  using part = cursor.readIOBuf(length);
  return part.toBuffer();
}

function decodeWithIOBuf(buffer: IOBuf): KafkaBatch {
  const cursor = buffer.cursor();
  const firstOffset = cursor.readBigI64BE();
  expect(cursor.readI32BE()).toBe(cursor.remaining);
  const partitionLeaderEpoch = cursor.readI32BE();
  expect(cursor.readI8()).toBe(2);
  const checksum = cursor.readU32BE();
  using summed = buffer.slice(cursor.position);
  expect(summed.crc32c()).toBe(checksum);
  expect(cursor.readI16BE()).toBe(0);
  const last = cursor.readI32BE();
  const firstTimestamp = cursor.readBigI64BE();
  expect(cursor.readBigI64BE()).toBe(firstTimestamp);
  const producerId = cursor.readBigI64BE();
  const producerEpoch = cursor.readI16BE();
  const firstSequence = cursor.readI32BE();
  const count = cursor.readI32BE();
  expect(count).toBe(last + 1);
  const records: KafkaRecord[] = [];
  for (let i = 0; i < count; i++) {
    const end = cursor.readZigZag() + cursor.position;
    cursor.skip(1);
    const timestampDelta = cursor.readZigZag();
    const offsetDelta = cursor.readZigZag();
    const key = readField(cursor);
    const value = readField(cursor);
    const fields: [string, Buffer][] = [];
    for (let left = cursor.readZigZag(); left > 0; left--) {
      const name = String(readField(cursor));
      fields.push([name, readField(cursor) ?? Buffer.alloc(0)]);
    }
    // Not by assignment: a header may be called __proto__.
    const headers = Object.fromEntries(fields);
    expect(cursor.position).toBe(end);
    records.push({ timestampDelta, offsetDelta, key, value, headers });
  }
  expect(cursor.remaining).toBe(0);
  return {
    firstOffset,
    firstTimestamp,
    partitionLeaderEpoch,
    producerId,
    producerEpoch,
    firstSequence,
    records,
  };
}

async function encodeWithKafkajs(batch: KafkaBatch, compression: number): Promise<Buffer> {
  const fromBig = (value: bigint): object => long.fromValue(String(value));
  const encoder = await RecordBatch({
    ...batch,
    compression,
    firstOffset: fromBig(batch.firstOffset),
    firstTimestamp: fromBig(batch.firstTimestamp),
    maxTimestamp: fromBig(batch.firstTimestamp),
    producerId: fromBig(batch.producerId),
    lastOffsetDelta: batch.records.length - 1,
    records: batch.records.map((record) =>
      encodeRecord({ ...record, timestampDelta: long.fromValue(String(record.timestampDelta)) }),
    ),
  });
  return encoder.buffer;
}

const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const payload = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
const big = fc
  .nat(3)
  .chain((kib) => payload.map((bytes) => Buffer.concat([bytes, Buffer.alloc(kib * 1024, 7)])));

/** Batches of at most so many records; in them fields of up to 24 bytes, or of up to some KiB. */
function batchesOf(maxRecords: number, isLarge: boolean): fc.Arbitrary<KafkaBatch> {
  const field = isLarge ? payload : fc.uint8Array({ maxLength: 24 }).map((bytes) => Buffer.from(bytes));
  return fc.record({
    firstOffset: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    firstTimestamp: i64,
    partitionLeaderEpoch: fc.integer(),
    producerId: i64,
    producerEpoch: fc.integer({ min: -32768, max: 32767 }),
    firstSequence: fc.integer(),
    records: fc.array(
      fc.record({
        offsetDelta: fc.nat(100_000),
        timestampDelta: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
        key: fc.option(field),
        value: fc.option(isLarge ? big : field),
        headers: fc.dictionary(fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 }), field, {
          maxKeys: 4,
          noNullPrototype: true,
        }),
      }),
      { minLength: 1, maxLength: maxRecords },
    ),
  });
}

// Many small ones reach every combination of what may be null, empty or negative; some large ones every border.
const kinds = [
  { size: 'small', batches: batchesOf(4, false), count: runs(50) },
  { size: 'large', batches: batchesOf(12, true), count: Math.min(500, runs(20)) },
];

/** A batch of one record, with a header of this name. */
function withHeader(name: string): KafkaBatch {
  return {
    firstOffset: 0n,
    firstTimestamp: 0n,
    partitionLeaderEpoch: 0,
    producerId: 0n,
    producerEpoch: 0,
    firstSequence: 0,
    records: [
      {
        offsetDelta: 0,
        timestampDelta: 0,
        key: null,
        value: null,
        headers: Object.fromEntries([[name, Buffer.from('x')]]),
      },
    ],
  };
}

describe.each(kinds)('Kafka record batches that are $size', ({ batches, count }) => {
  test('are byte for byte those of kafkajs, and read back however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(batches, fc.array(fc.nat(5000), { maxLength: 20 }), async (batch, at) => {
        const expected = await encodeWithKafkajs(batch, 0);
        using encoded = await encodeBatch(batch, false);
        expect(encoded.toBuffer().equals(expected)).toBe(true);
        using received = cut(expected, at);
        expect(decodeWithIOBuf(received)).toEqual(batch);
      }),
      { numRuns: count, examples: [[withHeader('__proto__'), []]] },
    );
    expect(memory.stats().liveBlocks).toBe(0);
  });

  test('compressed ones are read by kafkajs', async () => {
    await fc.assert(
      fc.asyncProperty(batches, async (batch) => {
        using encoded = await encodeBatch(batch, true);
        const { records } = await decodeBatch(new KafkaDecoder(encoded.toBuffer()));
        expect(records.map(({ key, value }) => [key, value])).toEqual(
          batch.records.map(({ key, value }) => [key, value]),
        );
      }),
      { numRuns: count },
    );
  });
});

type Reply = null | number | Buffer | readonly Reply[];

interface RedisParserOptions {
  readonly returnBuffers: boolean;
  returnReply(reply: unknown): void;
  returnError(error: Error): void;
}
const RedisParser = require('redis-parser') as new (
  options: RedisParserOptions,
) => { execute(bytes: Buffer): void };

function appendReply(buffer: IOBuf, reply: Reply): void {
  if (reply === null) buffer.append('$-1\r\n');
  else if (typeof reply === 'number') buffer.append(`:${reply}\r\n`);
  else if (Buffer.isBuffer(reply)) buffer.append(`$${reply.length}\r\n`).append(reply).append('\r\n');
  else {
    buffer.append(`*${reply.length}\r\n`);
    for (const element of reply) appendReply(buffer, element);
  }
}

function readReply(cursor: Cursor): Reply {
  const line = cursor.readString(cursor.indexOf(Buffer.from('\r\n')));
  cursor.skip(2);
  const number = Number(line.slice(1));
  switch (line[0]) {
    case ':':
      return number;
    case '$': {
      if (number < 0) return null;
      using bytes = cursor.readIOBuf(number);
      cursor.skip(2);
      return bytes.toBuffer();
    }
    default:
      return Array.from({ length: number }, () => readReply(cursor));
  }
}

const { reply: replies } = fc.letrec<{ reply: Reply }>((tie) => ({
  reply: fc.oneof(
    { depthSize: 'small' },
    payload,
    fc.integer(),
    fc.constant(null),
    fc.array(tie('reply'), { maxLength: 6 }),
  ),
}));

describe('RESP', () => {
  test('redis-parser reads what an IOBuf writes, an IOBuf reads what redis-parser read', () => {
    fc.assert(
      fc.property(
        fc.array(replies, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(4000), { maxLength: 12 }),
        (sent, at) => {
          using buffer = new IOBuf(memory);
          for (const reply of sent) appendReply(buffer, reply);
          const seen: unknown[] = [];
          const parser = new RedisParser({
            returnBuffers: true,
            returnReply: (reply) => seen.push(reply),
            returnError: (error) => {
              throw error;
            },
          });
          using received = cut(buffer.toBuffer(), at);
          for (const fragment of received.fragments()) parser.execute(Buffer.from(fragment));
          expect(seen).toEqual(sent);
          const cursor = received.cursor();
          for (const reply of sent) expect(readReply(cursor)).toEqual(reply);
          expect(cursor.remaining).toBe(0);
        },
      ),
      { numRuns: runs(200) },
    );
    expect(memory.stats().liveBlocks).toBe(0);
  });
});
