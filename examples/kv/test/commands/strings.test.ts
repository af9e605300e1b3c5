import { describe, expect, test } from 'vitest';
import { NO_JOURNAL } from '../../src/store/index.js';
import {
  arity,
  bulk,
  bulks,
  integer,
  type Line,
  NIL,
  NOT_INTEGER,
  NOW_MS,
  OK,
  OOM,
  runLines,
  SYNTAX,
  TestShard,
} from './support.js';

function invalidTime(name: string): string {
  return `-ERR invalid expire time in '${name}' command\r\n`;
}

const TABLES: readonly (readonly [string, readonly Line[]])[] = [
  [
    'GET and SET',
    [
      ['get k', NIL],
      ['set k v', OK],
      ['get k', bulk('v')],
      ['GeT k', bulk('v')],
      ['set k ""', OK],
      ['get k', bulk('')],
      ['set "" empty', OK],
      ['get ""', bulk('empty')],
    ],
  ],
  [
    'SET NX and XX',
    [
      ['set k 1 XX', NIL],
      ['get k', NIL],
      ['set k 1 nx', OK],
      ['set k 2 NX', NIL],
      ['set k 3 xx', OK],
      ['get k', bulk('3')],
      ['set k v nx xx', SYNTAX],
      ['set k v xx nx', SYNTAX],
    ],
  ],
  [
    'SET GET',
    [
      ['set k 1 get', NIL],
      ['set k 2 GET', bulk('1')],
      ['set k 3 nx get', bulk('2')],
      ['get k', bulk('2')],
      ['set other 1 xx get', NIL],
      ['get other', NIL],
    ],
  ],
  [
    'SET with a time',
    [
      ['set k v ex 10', OK],
      ['pttl k', integer(10_000)],
      ['set k v PX 1500', OK],
      ['pttl k', integer(1500)],
      [`set k v exat ${NOW_MS / 1000 + 7}`, OK],
      ['ttl k', integer(7)],
      [`set k v pxat ${NOW_MS + 9}`, OK],
      ['pttl k', integer(9)],
      ['set k v', OK],
      ['pttl k', integer(-1)],
      ['set k v px 100', OK],
      ['+100 ms', ''],
      ['get k', NIL],
      ['set k v pxat 1', OK],
      ['get k', NIL],
    ],
  ],
  [
    'SET KEEPTTL',
    [
      ['set k 1 px 500', OK],
      ['set k 2 keepttl', OK],
      ['pttl k', integer(500)],
      ['set new 1 keepttl', OK],
      ['pttl new', integer(-1)],
    ],
  ],
  [
    'SET refuses',
    [
      ['set k v ex', SYNTAX],
      ['set k v ex 10 px 10', SYNTAX],
      ['set k v ex 10 keepttl', SYNTAX],
      ['set k v keepttl ex 10', SYNTAX],
      ['set k v persist', SYNTAX],
      ['set k v bogus', SYNTAX],
      ['set k v ex 0', invalidTime('set')],
      ['set k v px -5', invalidTime('set')],
      ['set k v ex 9223372036854775807', invalidTime('set')],
      ['set k v ex abc', NOT_INTEGER],
      ['set k v ex 1.5', NOT_INTEGER],
      ['set k', arity('set')],
      ['get', arity('get')],
      ['get a b', arity('get')],
      ['get k', NIL],
    ],
  ],
  [
    'the same time twice counts once',
    [
      ['set k v ex 10 ex 20', OK],
      ['ttl k', integer(20)],
    ],
  ],
  [
    'SETNX, SETEX, PSETEX, GETSET',
    [
      ['setnx k 1', integer(1)],
      ['setnx k 2', integer(0)],
      ['get k', bulk('1')],
      ['setex k 10 v', OK],
      ['ttl k', integer(10)],
      ['psetex k 1234 v', OK],
      ['pttl k', integer(1234)],
      ['setex k 0 v', invalidTime('setex')],
      ['psetex k x v', NOT_INTEGER],
      ['getset k w', bulk('v')],
      ['pttl k', integer(-1)],
      ['getset new w', NIL],
      ['get new', bulk('w')],
    ],
  ],
  [
    'GETDEL',
    [
      ['set k v', OK],
      ['getdel k', bulk('v')],
      ['getdel k', NIL],
      ['exists k', integer(0)],
    ],
  ],
  [
    'GETEX',
    [
      ['getex k', NIL],
      ['getex k ex 0', NIL],
      ['set k v', OK],
      ['getex k ex 10', bulk('v')],
      ['ttl k', integer(10)],
      ['getex k', bulk('v')],
      ['ttl k', integer(10)],
      ['getex k persist', bulk('v')],
      ['ttl k', integer(-1)],
      ['getex k persist', bulk('v')],
      ['getex k ex 0', invalidTime('getex')],
      ['getex k nx', SYNTAX],
      ['getex k ex 1 persist', SYNTAX],
      ['getex k persist ex 1', SYNTAX],
      ['getex k pxat 1', bulk('v')],
      ['get k', NIL],
    ],
  ],
  [
    'APPEND and STRLEN',
    [
      ['strlen k', integer(0)],
      ['append k abc', integer(3)],
      ['append k defg', integer(7)],
      ['append k ""', integer(7)],
      ['get k', bulk('abcdefg')],
      ['strlen k', integer(7)],
      ['set t v px 500', OK],
      ['append t w', integer(2)],
      ['pttl t', integer(500)],
    ],
  ],
  [
    'GETRANGE',
    [
      ['getrange k 0 -1', bulk('')],
      ['set k 0123456789', OK],
      ['getrange k 0 3', bulk('0123')],
      ['getrange k -3 -1', bulk('789')],
      ['getrange k 5 100', bulk('56789')],
      ['getrange k 3 2', bulk('')],
      ['getrange k 100 200', bulk('')],
      ['getrange k -100 1', bulk('01')],
      ['getrange k 0 -100', bulk('0')],
      ['getrange k -1 -5', bulk('')],
      ['getrange k a 1', NOT_INTEGER],
      ['getrange k 0 9223372036854775808', NOT_INTEGER],
    ],
  ],
  [
    'SETRANGE',
    [
      ['setrange k 5 ""', integer(0)],
      ['exists k', integer(0)],
      ['setrange k 3 abc', integer(6)],
      ['get k', bulk('\0\0\0abc')],
      ['setrange k 1 XY', integer(6)],
      ['get k', bulk('\0XYabc')],
      ['setrange k 8 end', integer(11)],
      ['get k', bulk('\0XYabc\0\0end')],
      ['setrange k 0 ""', integer(11)],
      ['setrange k -1 x', '-ERR offset is out of range\r\n'],
      ['setrange k x x', NOT_INTEGER],
      ['setrange k 33554432 x', '-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n'],
      [
        'setrange k 9223372036854775807 x',
        '-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n',
      ],
    ],
  ],
];

test.each(TABLES)('%s', (_title, lines) => runLines(lines));

describe('large values', () => {
  const LARGE =
    Array.from({ length: 50_000 }, (_, index) => String(index % 97).padStart(3, '.')).join('') +
    'x'.repeat(200_000);

  test('are set, read in parts, appended to and overwritten', () => {
    const shard = new TestShard();
    expect(shard.run('set', 'k', LARGE)).toBe(OK);
    expect(shard.run('get', 'k') === bulk(LARGE)).toBe(true);
    for (const [from, to] of [
      [131_070, 131_075],
      [0, 5],
      [262_140, 262_150],
      [100_000, 300_000],
      [131_072, 131_072],
    ]) {
      expect(shard.run('getrange', 'k', from, to) === bulk(LARGE.slice(from, to + 1))).toBe(true);
    }
    expect(shard.run('append', 'k', 'y'.repeat(150_000))).toBe(integer(LARGE.length + 150_000));
    expect(shard.run('setrange', 'k', 131_070, 'ABCDEF')).toBe(integer(LARGE.length + 150_000));
    const expected = `${LARGE.slice(0, 131_070)}ABCDEF${LARGE.slice(131_076)}${'y'.repeat(150_000)}`;
    expect(shard.run('get', 'k') === bulk(expected)).toBe(true);
    expect(shard.run('incr', 'k')).toBe(NOT_INTEGER);
    expect(shard.run('del', 'k')).toBe(integer(1));
    expect(shard.extraBlocks).toBe(0);
  });

  test('APPEND stops at the longest value', () => {
    const shard = new TestShard();
    shard.context.maxValueBytes = 10;
    runLines(
      [
        ['append k 0123456789', integer(10)],
        ['append k x', '-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n'],
      ],
      shard,
    );
  });
});

describe('without memory', () => {
  test('writes get -OOM and change nothing, the rest goes on', () => {
    const shard = new TestShard({ store: { maxBytes: 32 * 1024 } });
    const big = 'x'.repeat(20_000);
    runLines(
      [
        ['set k old px 500', OK],
        ['set n 5', OK],
      ],
      shard,
    );
    expect(shard.run('set', 'k', big)).toBe(OOM);
    expect(shard.run('set', 'k', big, 'get')).toBe(OOM);
    expect(shard.run('getset', 'k', big)).toBe(OOM);
    expect(shard.run('append', 'k', big)).toBe(OOM);
    expect(shard.run('append', 'new', big)).toBe(OOM);
    expect(shard.run('setrange', 'k', 20_000, 'x')).toBe(OOM);
    expect(shard.run('setrange', 'new', 20_000, 'x')).toBe(OOM);
    expect(shard.run('setnx', 'new', big)).toBe(OOM);
    expect(shard.run('setex', 'new', 10, big)).toBe(OOM);
    expect(shard.run('mset', 'a', '1', 'k', 'new', 'b', big)).toBe(OOM);
    expect(shard.run('msetnx', 'a', '1', 'b', big)).toBe(OOM);
    runLines(
      [
        ['get k', bulk('old')],
        ['pttl k', integer(500)],
        ['incr n', integer(6)],
        ['mget a b new', bulks(null, null, null)],
        ['dbsize', integer(2)],
        ['del k', integer(1)],
      ],
      shard,
    );
  });

  test('an MSET that fails gives everything back', () => {
    const shard = new TestShard({ store: { maxBytes: 32 * 1024 } });
    expect(shard.run('mset', 'a', '1', 'b', '2', 'c', 'x'.repeat(20_000))).toBe(OOM);
    expect(shard.extraBlocks).toBe(0);
  });

  test('what the journal has no room for is refused with nothing but the error', () => {
    const shard = new TestShard();
    runLines([['set k v', OK]], shard);
    shard.store.journal = { ...NO_JOURNAL, admit: () => false };
    runLines(
      [
        ['set k w', OOM],
        ['set k w get', OOM],
        ['getset k w', OOM],
        ['getdel k', OOM],
        ['getex k ex 10', OOM],
        ['getex k px 1', OOM],
        ['getex k pxat 1', OOM],
        ['append k x', OOM],
        ['setrange k 5 x', OOM],
        ['setrange new 5 x', OOM],
        ['setnx new x', OOM],
        ['incr new', OOM],
        ['incrbyfloat new 1', OOM],
        ['mset a 1 k 2', OOM],
        ['expire k 10', OOM],
        ['del new k', OOM],
        ['rename k l', OOM],
        ['flushall', OOM],
        ['getex k', bulk('v')],
        ['getex k persist', bulk('v')],
        ['get k', bulk('v')],
        ['pttl k', integer(-1)],
        ['dbsize', integer(1)],
      ],
      shard,
    );
  });

  test('after the limit was lowered, nothing that may need memory is executed', () => {
    const shard = new TestShard();
    runLines(
      [
        ['set k v', OK],
        ['set n 1', OK],
      ],
      shard,
    );
    shard.store.maxBytes = 1000;
    runLines(
      [
        ['set k w', OOM],
        ['incr n', OOM],
        ['get k', bulk('v')],
        ['expire k 10', integer(1)],
        ['del k', integer(1)],
      ],
      shard,
    );
  });

  test('a reply that does not fit is an error, and GETDEL then deletes nothing', () => {
    const shard = new TestShard({ arenaBytes: 2 * 1024 * 1024 });
    const value = 'v'.repeat(600_000);
    expect(shard.run('set', 'k', value)).toBe(OK);
    const hold = shard.memory.allocate(1024 * 1024);
    expect(shard.run('get', 'k')).toBe(OOM);
    expect(shard.run('getdel', 'k')).toBe(OOM);
    expect(shard.run('set', 'k', 'x', 'get')).toBe(OOM);
    expect(shard.run('mget', 'x', 'k', 'k')).toBe(OOM);
    shard.memory.free(hold);
    expect(shard.run('getdel', 'k') === bulk(value)).toBe(true);
  });
});
