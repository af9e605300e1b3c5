import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ParseStatus, type RequestLimits, RequestParser } from '../../src/resp/index.js';
import { encode } from '../support/encode.js';

/** One arena for all tests, since clearing a new one for each takes longer than the tests. */
const arena = Buffer.alloc(1 << 20);

/** A parser, with commands copied out as soon as they are complete. */
class Reader {
  readonly parser: RequestParser;
  /** Every byte of an argument as one character. */
  readonly commands: string[][] = [];
  error: string | null = null;
  #start = 0;
  #end = 0;

  constructor(limits?: RequestLimits) {
    this.parser = new RequestParser(arena, limits);
  }

  get unconsumedBytes(): number {
    return this.#end - this.#start;
  }

  /** The bytes arrive; `moveTo` is where the receive buffer lies from now on. */
  receive(bytes: Uint8Array, moveTo: number = this.#start): void {
    if (this.error !== null) return;
    if (moveTo !== this.#start) {
      const pending = Buffer.from(arena.subarray(this.#start, this.#end));
      arena.fill(0xee, this.#start, this.#end);
      pending.copy(arena, moveTo);
      this.#end += moveTo - this.#start;
      this.#start = moveTo;
    }
    arena.set(bytes, this.#end);
    this.#end += bytes.length;
    for (;;) {
      const status = this.parser.parse(this.#start, this.#end);
      this.parser.invariants();
      if (status === ParseStatus.NeedMore) {
        expect(this.parser.neededBytes).toBeGreaterThan(this.unconsumedBytes);
        return;
      }
      if (status === ParseStatus.ProtocolError) {
        this.error = this.parser.error;
        return;
      }
      const { argv, argc, consumedBytes } = this.parser;
      expect(consumedBytes).toBeGreaterThan(0);
      expect(consumedBytes).toBeLessThanOrEqual(this.unconsumedBytes);
      const args: string[] = [];
      for (let index = 0; index < argc; index++) {
        const offset = argv[2 * index];
        args.push(arena.toString('latin1', offset, offset + argv[2 * index + 1]));
      }
      if (argc > 0) this.commands.push(args);
      this.#start += consumedBytes;
    }
  }
}

function read(bytes: Uint8Array | string, limits?: RequestLimits): Reader {
  const reader = new Reader(limits);
  reader.receive(Buffer.from(bytes as string));
  return reader;
}

describe('multi-bulk requests', () => {
  test('a pipeline', () => {
    const reader = read(Buffer.concat([encode('GET', 'a'), encode('SET', 'b', ''), encode('PING')]));
    expect(reader.commands).toEqual([['GET', 'a'], ['SET', 'b', ''], ['PING']]);
    expect(reader.unconsumedBytes).toBe(0);
  });

  test('arguments are binary', () => {
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    expect(read(encode('SET', all, '\r\n$1\r\n')).commands).toEqual([
      ['SET', Buffer.from(all).toString('latin1'), '\r\n$1\r\n'],
    ]);
  });

  test('a count of zero or less is no command', () => {
    expect(read('*0\r\n*-1\r\n*-25\r\n*1\r\n$4\r\nPING\r\n').commands).toEqual([['PING']]);
  });

  test('more arguments than the table has room for, then few again', () => {
    const many = Array.from({ length: 3000 }, (_, index) => `argument ${index}`);
    const reader = read(Buffer.concat([encode(...many), encode('PING')]));
    expect(reader.commands).toEqual([many, ['PING']]);
    expect(reader.parser.argv.length).toBeLessThan(100);
  });

  test.each([
    ['*x\r\n', 'invalid multibulk length'],
    ['*\r\n', 'invalid multibulk length'],
    ['*-\r\n', 'invalid multibulk length'],
    ['*-0\r\n', 'invalid multibulk length'],
    ['*01\r\n', 'invalid multibulk length'],
    ['*1\n', 'invalid multibulk length'],
    ['*1\rx', 'invalid multibulk length'],
    ['*65537\r\n', 'invalid multibulk length'],
    ['*9999999999', 'invalid multibulk length'],
    ['*1\r\nGET\r\n', "expected '$', got 'G'"],
    ['*1\r\n\u0001', "expected '$', got '\\x01'"],
    ['*1\r\n$x\r\n', 'invalid bulk length'],
    ['*1\r\n$\r\n', 'invalid bulk length'],
    ['*1\r\n$-1\r\n', 'invalid bulk length'],
    ['*1\r\n$+3\r\n', 'invalid bulk length'],
    ['*1\r\n$003\r\n', 'invalid bulk length'],
    ['*1\r\n$04\r\nPING\r\n', 'invalid bulk length'],
    ['*1\r\n$33554433\r\n', 'invalid bulk length'],
    ['*1\r\n$4294967299\r\n', 'invalid bulk length'],
    ['*1\r\n$99999999999999999999', 'invalid bulk length'],
    ['*1\r\n$3\r\nPINGxx', 'expected CRLF after a bulk'],
  ])('%j is an error', (request, message) => {
    expect(read(request).error).toBe(`Protocol error: ${message}`);
  });

  test('limits are options', () => {
    const limits = { maxArguments: 2, maxBulkBytes: 10, maxRequestBytes: 30 };
    expect(read(encode('a', 'b'), limits).commands).toEqual([['a', 'b']]);
    expect(read(encode('a', 'b', 'c'), limits).error).toBe('Protocol error: invalid multibulk length');
    expect(read(encode('x'.repeat(10)), limits).commands).toEqual([['x'.repeat(10)]]);
    expect(read(encode('x'.repeat(11)), limits).error).toBe('Protocol error: invalid bulk length');
    expect(read(encode('x'.repeat(10), 'x'.repeat(10)), limits).error).toBe(
      'Protocol error: too big request',
    );
  });

  test('a limit holds for a command that is there as a whole, too', () => {
    const limits = { maxBulkBytes: 100_000 };
    expect(read(encode('x'.repeat(100_000)), limits).error).toBeNull();
    expect(read(encode('x'.repeat(100_001)), limits).error).toBe('Protocol error: invalid bulk length');
  });

  test('what lies behind the end has not been received, even if it is the rest of the command', () => {
    const request = encode('SET', 'k', '0123456789');
    for (let end = 0; end < request.length; end++) {
      expect(new RequestParser(request).parse(0, end)).toBe(ParseStatus.NeedMore);
    }
    expect(new RequestParser(request).parse(0, request.length)).toBe(ParseStatus.Complete);
  });

  test('says how many bytes a bulk needs', () => {
    const request = Buffer.from('*2\r\n$3\r\nGET\r\n$1000\r\nxyz');
    const parser = new RequestParser(request);
    expect(parser.parse(0, request.length)).toBe(ParseStatus.NeedMore);
    expect(parser.neededBytes).toBe(request.indexOf('xyz') + 1002);
  });

  test('what has been passed over is not looked at again', () => {
    const value = 'v'.repeat(100_000);
    const request = encode('SET', 'key', value);
    const received = Buffer.alloc(request.length);
    const parser = new RequestParser(received);
    let commands = 0;
    for (let end = 0; end < request.length; ) {
      const next = Math.min(end + 4096, request.length);
      request.copy(received, end, end, next);
      end = next;
      if (parser.parse(0, end) === ParseStatus.Complete) commands++;
      // Were the parser to begin again, or to search in the value, it would stumble over this.
      else received.fill('*', 0, end - 20);
    }
    expect(commands).toBe(1);
    expect([...parser.argv.subarray(1, 6)].filter((_, index) => index % 2 === 0)).toEqual([
      3,
      3,
      value.length,
    ]);
  });
});

describe('inline requests', () => {
  test.each<[string, string[][]]>([
    ['PING\r\n', [['PING']]],
    ['PING\n', [['PING']]],
    ['  set  a\tb \r\n', [['set', 'a', 'b']]],
    ['\r\n\n  \r\nPING\r\n', [['PING']]],
    ['set a "b c"\r\n', [['set', 'a', 'b c']]],
    ['set a "" \'\'\r\n', [['set', 'a', '', '']]],
    ['set a "\\x41\\n\\r\\t\\b\\a\\"\\\\\\q"\r\n', [['set', 'a', 'A\n\r\t\b\u0007"\\q']]],
    ['set a "\\x4g"\r\n', [['set', 'a', 'x4g']]],
    ["set a 'it\\'s \\n'\r\n", [['set', 'a', "it's \\n"]]],
    ['set a pre"fix"\r\n', [['set', 'a', 'prefix']]],
    ['a\r\n*1\r\n$1\r\nb\r\nc\r\n', [['a'], ['b'], ['c']]],
  ])('%j', (line, commands) => {
    const reader = read(line);
    expect(reader.error).toBeNull();
    expect(reader.commands).toEqual(commands);
  });

  test.each(['set a "b\r\n', "set a 'b\r\n", 'set a "b"c\r\n', '"\\\r\n'])(
    '%j has unbalanced quotes',
    (line) => {
      expect(read(line).error).toBe('Protocol error: unbalanced quotes in request');
    },
  );

  test('a line that does not end is an error at the limit', () => {
    const reader = new Reader();
    reader.receive(Buffer.alloc(65_535, 'x'));
    expect(reader.error).toBeNull();
    reader.receive(Buffer.from('x'));
    expect(reader.error).toBe('Protocol error: too big inline request');
    expect(read(`${'x '.repeat(3)}\n`, { maxInlineBytes: 6 }).error).not.toBeNull();
    expect(read(`${'x '.repeat(3)}\n`, { maxInlineBytes: 7 }).commands).toEqual([['x', 'x', 'x']]);
  });

  test('too many words', () => {
    expect(read('a b c\r\n', { maxArguments: 3 }).commands).toEqual([['a', 'b', 'c']]);
    expect(read('a b c d\r\n', { maxArguments: 3 }).error).toMatch('too many arguments');
  });
});

describe('however the bytes arrive', () => {
  const argument = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom('GET', '*1\r\n$4\r\nPING\r\n', '$', '\r\n', '').map((text) => Buffer.from(text)),
    fc.uint8Array({ minLength: 1000, maxLength: 3000 }),
  );
  const command = fc.array(argument, { minLength: 1, maxLength: 12 });
  const words = fc.array(fc.stringMatching(/^[a-z0-9]{1,8}$/), { minLength: 1, maxLength: 5 });
  const request = fc.oneof(
    { weight: 4, arbitrary: command.map((args) => ({ bytes: encode(...args), args })) },
    {
      weight: 1,
      arbitrary: words.map((list) => ({
        bytes: Buffer.from(`${list.join(' ')}\r\n`),
        args: list.map((item) => Buffer.from(item)),
      })),
    },
  );
  /** Lengths of the pieces, and where the receive buffer lies for each. */
  const pieces = fc.array(fc.tuple(fc.integer({ min: 1, max: 200 }), fc.nat(8)), { minLength: 1 });

  function receiveInPieces(
    reader: Reader,
    bytes: Uint8Array,
    cuts: readonly (readonly [number, number])[],
  ): void {
    for (let at = 0, piece = 0; at < bytes.length; piece++) {
      const [length, place] = cuts[piece % cuts.length];
      reader.receive(bytes.subarray(at, at + length), place === 0 ? undefined : place * 100_000);
      at += length;
    }
  }

  test('the commands are the same', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 8 }), pieces, (requests, cuts) => {
        const reader = new Reader();
        receiveInPieces(reader, Buffer.concat(requests.map(({ bytes }) => bytes)), cuts);
        expect(reader.error).toBeNull();
        expect(reader.unconsumedBytes).toBe(0);
        const sent = requests.map(({ args }) => args.map((arg) => Buffer.from(arg).toString('latin1')));
        expect(reader.commands).toEqual(sent);
      }),
      { numRuns: 300 },
    );
  });

  const garbage = fc
    .array(
      fc.oneof(
        fc.uint8Array({ maxLength: 20 }),
        fc
          .constantFrom(
            '*',
            '$',
            '-',
            '\r',
            '\n',
            '\r\n',
            '*1\r\n',
            '*2\r\n$1\r\na\r\n',
            '$3\r\n',
            '"',
            "'",
            ' ',
            '0',
            '12',
            '\\x',
          )
          .map((text) => Buffer.from(text)),
      ),
      { maxLength: 30 },
    )
    .map((parts) => Buffer.concat(parts));

  test('garbage gives the same commands and the same error', () => {
    fc.assert(
      fc.property(garbage, pieces, (bytes, cuts) => {
        const whole = new Reader();
        whole.receive(bytes);
        const cut = new Reader();
        receiveInPieces(cut, bytes, cuts);
        expect(cut.commands).toEqual(whole.commands);
        expect(cut.error).toBe(whole.error);
        if (whole.error !== null) expect(whole.error).toMatch(/^Protocol error: ./);
      }),
      { numRuns: 2000 },
    );
  });
});
