import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BodyReader } from '../src/body-reader.ts';
import { HttpRequest, INCOMPLETE } from '../src/http-request.ts';

function parse(text: string): { request: HttpRequest; result: number } {
  const request = new HttpRequest();
  const bytes = Buffer.from(text, 'latin1');
  return { request, result: request.parse(bytes, 0, bytes.length) };
}

const token = fc.string({
  unit: fc.constantFrom(...'abcXYZ019-_.!#$%&*+^`|~'),
  minLength: 1,
  maxLength: 12,
});
const value = fc
  .string({ unit: fc.constantFrom(...'abc XYZ\t019:;,="/\u00e9'), maxLength: 30 })
  .map((text) => text.trim());
const space = fc.constantFrom('', ' ', '\t', '  ');
const OURS = ['host', 'connection', 'content-length', 'transfer-encoding', 'expect'];
const field = fc.tuple(token, value, space, space).filter(([name]) => !OURS.includes(name.toLowerCase()));

describe('HttpRequest', () => {
  test('finds what was written, whatever the bytes before and after', () => {
    fc.assert(
      fc.property(
        token,
        fc.string({ unit: fc.constantFrom(...'/abc?=&%25;'), minLength: 1, maxLength: 30 }),
        fc.array(field, { maxLength: 10 }),
        fc.constantFrom('', '\r\n', '\r\n\r\n'),
        fc.nat(5),
        (method, target, fields, before, after) => {
          const lines = fields.map(([name, content, front, back]) => `${name}:${front}${content}${back}\r\n`);
          const head = `${before}${method} ${target} HTTP/1.1\r\nHost: here\r\n${lines.join('')}\r\n`;
          const bytes = Buffer.from(`xyz${head}${'G'.repeat(after)}`, 'latin1');
          const request = new HttpRequest();
          expect(request.parse(bytes, 3, bytes.length)).toBe(head.length);
          expect([request.method, request.target]).toEqual([method, target]);
          expect(request.fieldCount).toBe(fields.length + 1);
          fields.forEach(([name, content], index) => {
            expect([request.fieldName(index + 1), request.fieldValue(index + 1)]).toEqual([name, content]);
          });
          // What is kept does not change with the memory that it came from, and is found by any spelling.
          const once = (name: string): boolean =>
            fields.filter(([other]) => other.toLowerCase() === name.toLowerCase()).length === 1;
          const look = (): unknown =>
            fields.map(([name]) => once(name) && request.field(name.toLowerCase())).concat(request.target);
          const seen = look();
          expect(seen).toEqual(fields.map(([name, content]) => once(name) && content).concat(target));
          const copy = Buffer.from(bytes);
          request.keep();
          bytes.fill(0);
          expect(look()).toEqual(seen);
          expect(request.fieldName(0)).toBe('Host');
          bytes.set(copy);
          // Each shorter range is no whole head, and no error.
          for (let end = 3; end < 3 + head.length; end++) {
            expect(request.parse(bytes, 3, end)).toBe(INCOMPLETE);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test.each([
    ['GET / HTTP/1.1\r\n\r\n', -400],
    ['GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', -400],
    ['GET  / HTTP/1.1\r\nHost: a\r\n\r\n', -400],
    ['GET / HTTP/1.1\nHost: a\r\n\r\n', -400],
    ['GET / HTTP/1.1\r\nHost: a\n\r\n', -400],
    ['GET / HTTP/1.1\r\nHost : a\r\n\r\n', -400],
    ['GET / HTTP/1.1\r\n Host: a\r\n\r\n', -400],
    ['GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n', -400],
    ['GET / HTTP/1.1\r\nHost: a\r\nX: \u0000\r\n\r\n', -400],
    ['GET / HTTP/2.0\r\nHost: a\r\n\r\n', -505],
    ['GET / http/1.1\r\nHost: a\r\n\r\n', -400],
    ['GET /\u00e9 HTTP/1.1\r\nHost: a\r\n\r\n', -400],
    ['G\u0001T / HTTP/1.1\r\nHost: a\r\n\r\n', -400],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', -400],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n', -400],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n', -400],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', -400],
    ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', -501],
    ['POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', -400],
    ['POST / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n', -417],
    [`GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(100)}\r\n`, -431],
  ])('refuses %j', (text, status) => {
    expect(parse(text).result).toBe(status);
  });

  test('knows what the connection and the body are', () => {
    const of = (rest: string): HttpRequest => {
      const { request, result } = parse(rest);
      expect(result).toBe(rest.length);
      return request;
    };
    expect(of('GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toMatchObject({ keepAlive: true, contentLength: 0 });
    expect(of('GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n').keepAlive).toBe(false);
    expect(of('GET / HTTP/1.0\r\n\r\n')).toMatchObject({ keepAlive: false, minorVersion: 0 });
    expect(of('GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n').keepAlive).toBe(true);
    expect(of('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n').contentLength).toBe(12);
    expect(of('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n').contentLength).toBe(-1);
    expect(of('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n').expectsContinue).toBe(true);
    const several = of('GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\naccept: y\r\n\r\n');
    expect(several.field('accept')).toBe('x, y');
    expect(several.field('range')).toBeUndefined();
  });
});

describe('BodyReader', () => {
  /** Feeds bytes in pieces: what was read, how much was taken, or the status. */
  function feed(reader: BodyReader, bytes: Buffer, cuts: readonly number[]): number {
    let at = 0;
    for (const cut of [...cuts, bytes.length]) {
      const end = Math.min(bytes.length, Math.max(at, cut));
      while (at < end && !reader.isDone) {
        const taken = reader.read(bytes, at, end);
        if (taken <= 0) return taken;
        at += taken;
      }
    }
    return at;
  }

  test('puts any body together, cut anywhere, and leaves what follows', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 8 }),
        fc.boolean(),
        fc.array(fc.nat(300), { maxLength: 10 }).map((cuts) => cuts.sort((a, b) => a - b)),
        fc.constantFrom('', ';name=value', ';a;b="c"'),
        fc.constantFrom('', 'X-Trailer: y\r\n'),
        (chunks, isChunked, cuts, extension, trailer) => {
          const body = Buffer.concat(chunks);
          if (!isChunked && body.length === 0) return;
          const encoded = isChunked
            ? Buffer.concat([
                ...chunks.flatMap((chunk) => [
                  Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`),
                  chunk,
                  Buffer.from('\r\n'),
                ]),
                Buffer.from(`000\r\n${trailer}\r\n`),
              ])
            : body;
          const reader = new BodyReader(isChunked ? -1 : body.length, 1000);
          expect(feed(reader, Buffer.concat([encoded, Buffer.from('GET')]), cuts)).toBe(encoded.length);
          expect(reader.isDone).toBe(true);
          expect(body.equals(reader.body)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  test.each([
    ['5\nhello', -400],
    ['\r\n', -400],
    ['x\r\n', -400],
    ['5 \r\nhello', -400],
    ['5\rhello', -400],
    ['2\r\nabc', -400],
    ['2\r\nab\n', -400],
    ['0\r\nX\n', -400],
    ['0\r\n\rX', -400],
    ['fffffffffffff\r\n', -413],
    ['65\r\n', -413],
    [`1;${'x'.repeat(5000)}`, -400],
    [`0\r\n${'X: y\r\n'.repeat(1000)}`, -400],
  ])('refuses the chunks %j', (text, status) => {
    expect(feed(new BodyReader(-1, 100), Buffer.from(text), [])).toBe(status);
  });

  test('refuses a body that is too long before it has come', () => {
    expect(new BodyReader(101, 100).read(Buffer.from('x'), 0, 1)).toBe(-413);
  });
});
