import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBrotliCompress, createGunzip, createGzip, createInflate, gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import {
  appendJson,
  applyCipher,
  collect,
  digest,
  drain,
  IOBuf,
  lines,
  parseJson,
  toReadable,
  toReadableStream,
  toWritable,
  toWritableStream,
  transform,
  updateWith,
} from '../src/index.js';
import { debugMemory, expectCode, pattern, runs } from './support.js';

const memory = debugMemory();

afterEach(() => {
  expect(memory.stats().liveBlocks).toBe(0);
});

const contents = fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 8 });

function linked(pieces: readonly Uint8Array[]): IOBuf {
  const buffer = new IOBuf(memory);
  for (const piece of pieces) {
    using one = IOBuf.from(piece, memory);
    buffer.link(one);
  }
  return buffer;
}

describe('streams bring and take the same bytes', () => {
  test('Node streams, both ways', async () => {
    await fc.assert(
      fc.asyncProperty(contents, fc.boolean(), async (pieces, wrap) => {
        const bytes = Buffer.concat(pieces);
        using target = new IOBuf(memory);
        await pipeline(toReadable(linked(pieces)), toWritable(target, { wrap }));
        expect(target.equals(bytes)).toBe(true);
        using collected = await collect(Readable.from(pieces), { memory, wrap });
        expect(collected.equals(bytes)).toBe(true);
      }),
      { numRuns: runs(60) },
    );
  });

  test("web streams, both ways, with the reader's memory and without", async () => {
    await fc.assert(
      fc.asyncProperty(contents, fc.integer({ min: 1, max: 5000 }), async (pieces, chunkBytes) => {
        const bytes = Buffer.concat(pieces);
        using target = new IOBuf(memory);
        await toReadableStream(linked(pieces), chunkBytes).pipeTo(toWritableStream(target));
        expect(target.equals(bytes)).toBe(true);

        const reader = toReadableStream(linked(pieces)).getReader({ mode: 'byob' });
        const read: Buffer[] = [];
        for (;;) {
          const { done, value } = await reader.read(new Uint8Array(chunkBytes));
          if (value !== undefined) read.push(Buffer.from(value));
          if (done) break;
        }
        expect(Buffer.concat(read).equals(bytes)).toBe(true);
      }),
      { numRuns: runs(40) },
    );
  });

  test('async iterables, both ways; who stops early keeps the rest', async () => {
    using buffer = linked([pattern(1000, 1), pattern(1000, 2)]);
    const chunks: Buffer[] = [];
    for await (const chunk of drain(buffer, 300)) {
      chunks.push(chunk);
      if (chunks.length === 3) break;
    }
    const bytes = Buffer.concat([pattern(1000, 1), pattern(1000, 2)]);
    expect(Buffer.concat(chunks).equals(bytes.subarray(0, 900))).toBe(true);
    expect(buffer.equals(bytes.subarray(900))).toBe(true);
    using again = await collect(drain(buffer, 7), { memory });
    expect(again.equals(bytes.subarray(900))).toBe(true);
    expect(buffer.isEmpty).toBe(true);
  });

  test('a stream that is destroyed, cancelled, or fails gives all memory back', async () => {
    const readable = toReadable(linked([pattern(100_000)]));
    readable.read(10);
    readable.destroy();
    await new Promise((resolve) => readable.once('close', resolve));
    await toReadableStream(linked([pattern(10)])).cancel();
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield pattern(10);
      throw new Error('source');
    }
    await expect(collect(failing(), { memory })).rejects.toThrow('source');
  });

  test('more than the limit is refused', async () => {
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) yield pattern(1000);
    };
    await expect(collect(endless(), { memory, maxBytes: 5000 })).rejects.toMatchObject({
      code: 'SUNSTAR_TOO_LARGE',
    });
    using target = new IOBuf(memory);
    await expect(
      pipeline(Readable.from(endless()), toWritable(target, { maxBytes: 5000 })),
    ).rejects.toMatchObject({
      code: 'SUNSTAR_TOO_LARGE',
    });
    expect(target.sizeBytes).toBe(5000);
    await expect(collect([1 as unknown as string], { memory })).rejects.toMatchObject({
      code: 'SUNSTAR_INVALID_ARGUMENT',
    });
  });
});

describe('zlib', () => {
  test('compresses fragments where they lie, and back', async () => {
    await fc.assert(
      fc.asyncProperty(contents, async (pieces) => {
        using buffer = linked(pieces);
        using packed = await transform(buffer, createGzip());
        expect(gunzipSync(packed.toBuffer()).equals(Buffer.concat(pieces))).toBe(true);
        using unpacked = await transform(packed, createGunzip());
        expect(unpacked.equals(buffer)).toBe(true);
      }),
      { numRuns: runs(25) },
    );
  });

  test('what is broken or too large is refused, and nothing is lost', async () => {
    using garbage = linked([pattern(5000), pattern(5000)]);
    await expect(transform(garbage, createInflate())).rejects.toMatchObject({ code: 'Z_DATA_ERROR' });
    using zeros = IOBuf.from(Buffer.alloc(1_000_000), memory);
    using bomb = await transform(zeros, createBrotliCompress());
    expect(bomb.sizeBytes).toBeLessThan(1000);
    using gzip = await transform(zeros, createGzip());
    await expect(transform(gzip, createGunzip(), { maxBytes: 100_000 })).rejects.toMatchObject({
      code: 'SUNSTAR_TOO_LARGE',
    });
    expect(garbage.sizeBytes).toBe(10_000);
  });
});

describe('crypto', () => {
  test('digests, HMACs and ciphers do not see how the content is cut', () => {
    const key = Buffer.from(pattern(32));
    const iv = Buffer.from(pattern(16, 2));
    fc.assert(
      fc.property(contents, (pieces) => {
        using buffer = linked(pieces);
        const bytes = Buffer.concat(pieces);
        expect(digest(buffer, 'sha256')).toEqual(createHash('sha256').update(bytes).digest());
        expect(updateWith(createHmac('sha1', key), buffer).digest()).toEqual(
          createHmac('sha1', key).update(bytes).digest(),
        );
        using secret = applyCipher(createCipheriv('aes-256-cbc', key, iv), buffer);
        using plain = applyCipher(createDecipheriv('aes-256-cbc', key, iv), secret);
        expect(plain.equals(bytes)).toBe(true);
      }),
      { numRuns: runs(50) },
    );
    using short = IOBuf.from(pattern(7), memory);
    expect(() => applyCipher(createDecipheriv('aes-256-cbc', key, iv), short)).toThrow();
  });
});

describe('text', () => {
  test('JSON there and back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        using buffer = new IOBuf(memory);
        expect(parseJson(appendJson(buffer, value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
    using buffer = new IOBuf(memory);
    const cycle: unknown[] = [];
    cycle.push(cycle);
    for (const value of [undefined, () => 1, 1n, cycle])
      expectCode(() => appendJson(buffer, value), 'SUNSTAR_INVALID_ARGUMENT');
    expect(buffer.isEmpty).toBe(true);
    expectCode(() => parseJson(buffer), 'SUNSTAR_INVALID_JSON');
    buffer.append(Uint8Array.of(0x22, 0xff, 0x22));
    expectCode(() => parseJson(buffer), 'SUNSTAR_INVALID_UTF8');
  });

  test('lines, with characters across fragments', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ unit: 'grapheme' }).map((s) => s.replaceAll(/[\r\n]/g, '')),
          { minLength: 1 },
        ),
        fc.constantFrom('\n', '\r\n'),
        fc.array(fc.nat(200)),
        (texts, end, at) => {
          const bytes = Buffer.from(texts.map((text) => text + end).join(''));
          const borders = [0, ...at.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
          using buffer = linked(borders.slice(1).map((border, i) => bytes.subarray(borders[i], border)));
          expect([...lines(buffer)]).toEqual(texts);
        },
      ),
    );
    using open = IOBuf.from('a\n\nb', memory);
    expect([...lines(open)]).toEqual(['a', '', 'b']);
  });

  test('UTF-8 that must be valid', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const bytes = Buffer.from(text);
        using buffer = linked([...bytes].map((byte) => Uint8Array.of(byte)));
        expect(buffer.toString('utf8-strict')).toBe(bytes.toString());
        if (bytes.length > 0 && bytes[bytes.length - 1] >= 0x80) {
          buffer.trimBack(1);
          expectCode(() => buffer.toString('utf8-strict'), 'SUNSTAR_INVALID_UTF8');
          const cursor = buffer.cursor();
          expectCode(() => cursor.readString(buffer.sizeBytes, 'utf8-strict'), 'SUNSTAR_INVALID_UTF8');
          expect(cursor.position).toBe(0);
        }
      }),
      { numRuns: runs(100) },
    );
    using buffer = IOBuf.from(pattern(9), memory);
    expect(buffer.toString('hex')).toBe(Buffer.from(pattern(9)).toString('hex'));
    expect(buffer.toString('base64')).toBe(Buffer.from(pattern(9)).toString('base64'));
    expectCode(() => buffer.toString('utf-7' as 'utf8'), 'SUNSTAR_INVALID_ARGUMENT');
  });

  test('hexdump', () => {
    using buffer = linked([Buffer.from('Hello, '), Buffer.from('fragmented\x00\xff world!', 'latin1')]);
    expect(buffer.hexdump()).toBe(
      [
        '00000000  48 65 6c 6c 6f 2c 20 66  72 61 67 6d 65 6e 74 65  |Hello, fragmente|',
        '00000010  64 00 ff 20 77 6f 72 6c  64 21                    |d.. world!|',
      ].join('\n'),
    );
    expect(buffer.hexdump(5)).toBe(
      '00000000  48 65 6c 6c 6f                                    |Hello|\n… 21 more bytes',
    );
    buffer.clear();
    expect(buffer.hexdump()).toBe('');
  });
});

test('iterators: fragments, bytes, chunks of one size, what a cursor consumes', () => {
  fc.assert(
    fc.property(contents, fc.integer({ min: 1, max: 700 }), fc.nat(5000), (pieces, chunkBytes, stop) => {
      using buffer = linked(pieces);
      const bytes = Buffer.concat(pieces);
      expect(Buffer.concat([...buffer.fragments()]).equals(bytes)).toBe(true);
      expect([...buffer].length).toBe(bytes.length);
      const chunks = Array.from(buffer.chunks(chunkBytes), (chunk) => Buffer.from(chunk));
      expect(chunks.slice(0, -1).every((chunk) => chunk.length === chunkBytes)).toBe(true);
      expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
      const cursor = buffer.cursor();
      const seen: Buffer[] = [];
      let left = stop;
      const consumed = cursor.consume(bytes.length, (from, start, end) => {
        seen.push(Buffer.from(from.subarray(start, end)));
        left -= end - start;
        return left > 0;
      });
      expect(cursor.position).toBe(consumed);
      expect(Buffer.concat(seen).equals(bytes.subarray(0, consumed))).toBe(true);
      if (stop > bytes.length) expect(consumed).toBe(bytes.length);
    }),
  );
});
