import { describe, expect, test } from 'vitest';
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
  runLines,
  SYNTAX,
  TestShard,
} from './support.js';

const NO_KEY = '-ERR no such key\r\n';
const NX_WITH_OTHERS = '-ERR NX and XX, GT or LT options at the same time are not compatible\r\n';

const TABLES: readonly (readonly [string, readonly Line[]])[] = [
  [
    'MGET, MSET, MSETNX',
    [
      ['mget a b', bulks(null, null)],
      ['mset a 1 b 2 a 3', OK],
      ['mget a b c a', bulks('3', '2', null, '3')],
      ['msetnx c 1 a 2', integer(0)],
      ['get c', NIL],
      ['msetnx c 1 d 2', integer(1)],
      ['mget c d', bulks('1', '2')],
      ['mset a', arity('mset')],
      ['mset a 1 b', arity('mset')],
      ['msetnx a 1 b', arity('msetnx')],
      ['set a 1 px 500', OK],
      ['mset a 2', OK],
      ['pttl a', integer(-1)],
    ],
  ],
  [
    'DEL, UNLINK, EXISTS, TYPE',
    [
      ['mset a 1 b 2 c 3', OK],
      ['exists a a b x', integer(3)],
      ['del a x a', integer(1)],
      ['unlink b c', integer(2)],
      ['exists a b c', integer(0)],
      ['type a', '+none\r\n'],
      ['set a 1', OK],
      ['type a', '+string\r\n'],
      ['del', arity('del')],
    ],
  ],
  [
    'RENAME',
    [
      ['rename a b', NO_KEY],
      ['set a 1 px 500', OK],
      ['rename a a', OK],
      ['set b 2', OK],
      ['rename a b', OK],
      ['mget a b', bulks(null, '1')],
      ['pttl b', integer(500)],
      ['+500 ms', ''],
      ['rename b a', NO_KEY],
    ],
  ],
  [
    'DBSIZE, FLUSHDB, FLUSHALL, RANDOMKEY',
    [
      ['randomkey', NIL],
      ['dbsize', integer(0)],
      ['set a 1', OK],
      ['randomkey', bulk('a')],
      ['dbsize', integer(1)],
      ['flushdb', OK],
      ['dbsize', integer(0)],
      ['set a 1', OK],
      ['flushall async', OK],
      ['exists a', integer(0)],
      ['set a 1', OK],
      ['flushall SYNC', OK],
      ['exists a', integer(0)],
      ['flushall now', SYNTAX],
      ['flushdb async sync', SYNTAX],
    ],
  ],
  [
    'EXPIRE and TTL',
    [
      ['ttl k', integer(-2)],
      ['pttl k', integer(-2)],
      ['expire k 10', integer(0)],
      ['set k v', OK],
      ['ttl k', integer(-1)],
      ['expire k 10', integer(1)],
      ['ttl k', integer(10)],
      ['+400 ms', ''],
      ['ttl k', integer(10)],
      ['pttl k', integer(9600)],
      ['+200 ms', ''],
      ['ttl k', integer(9)],
      ['expiretime k', integer(NOW_MS / 1000 + 10)],
      ['pexpiretime k', integer(NOW_MS + 10_000)],
      ['persist k', integer(1)],
      ['persist k', integer(0)],
      ['persist none', integer(0)],
      ['ttl k', integer(-1)],
      ['expiretime k', integer(-1)],
      ['pexpire k 1500', integer(1)],
      ['pttl k', integer(1500)],
      [`expireat k ${NOW_MS / 1000 + 100}`, integer(1)],
      [`pexpireat k ${NOW_MS + 777}`, integer(1)],
      ['pexpiretime k', integer(NOW_MS + 777)],
      ['+177 ms', ''],
      ['get k', NIL],
      ['expiretime k', integer(-2)],
    ],
  ],
  [
    'a time that has passed deletes',
    [
      ['set k v', OK],
      ['expire k 0', integer(1)],
      ['exists k', integer(0)],
      ['set k v', OK],
      ['pexpire k -5', integer(1)],
      ['exists k', integer(0)],
      ['set k v', OK],
      ['expireat k 1', integer(1)],
      ['exists k', integer(0)],
    ],
  ],
  [
    'conditions of EXPIRE',
    [
      ['set k v', OK],
      ['pexpire k 100 xx', integer(0)],
      ['pexpire k 100 gt', integer(0)],
      ['pexpire k 100 lt', integer(1)],
      ['pexpire k 200 nx', integer(0)],
      ['pexpire k 50 gt', integer(0)],
      ['pexpire k 200 gt', integer(1)],
      ['pexpire k 300 lt', integer(0)],
      ['pexpire k 150 XX LT', integer(1)],
      ['pttl k', integer(150)],
      ['pexpire k 1 nx xx', NX_WITH_OTHERS],
      ['pexpire k 1 gt nx', NX_WITH_OTHERS],
      ['pexpire k 1 gt lt', '-ERR GT and LT options at the same time are not compatible\r\n'],
      ['pexpire k 1 zz', '-ERR Unsupported option zz\r\n'],
      ['pexpire k x', NOT_INTEGER],
      ['expire k 9223372036854775807', "-ERR invalid expire time in 'expire' command\r\n"],
      ['expire k -9223372036854775807', "-ERR invalid expire time in 'expire' command\r\n"],
      ['pexpire k 9223372036854775807', "-ERR invalid expire time in 'pexpire' command\r\n"],
      ['expire k', arity('expire')],
      ['pttl k', integer(150)],
    ],
  ],
  [
    'SCAN refuses',
    [
      ['scan x', '-ERR invalid cursor\r\n'],
      ['scan -1', '-ERR invalid cursor\r\n'],
      ['scan 4294967296', '-ERR invalid cursor\r\n'],
      ['scan 0 count', SYNTAX],
      ['scan 0 count 0', SYNTAX],
      ['scan 0 count x', NOT_INTEGER],
      ['scan 0 bogus 1', SYNTAX],
    ],
  ],
];

test.each(TABLES)('%s', (_title, lines) => runLines(lines));

/** The elements of an array of bulks that contain no line ends. */
function elements(reply: string): string[] {
  return reply
    .split('\r\n')
    .filter((_line, index) => index % 2 === 0 && index > 0)
    .filter((line) => line !== '');
}

/** All keys that complete SCANs with these options return. */
function scanAll(shard: TestShard, ...options: (string | number)[]): { keys: string[]; calls: number } {
  const keys: string[] = [];
  let cursor = '0';
  let calls = 0;
  do {
    const reply = shard.run('scan', cursor, ...options);
    const [, cursorText = '', rest = ''] = /^\*2\r\n\$\d+\r\n(\d+)\r\n(.*)$/s.exec(reply) ?? [];
    cursor = cursorText;
    keys.push(...elements(rest));
    calls++;
  } while (cursor !== '0');
  return { keys, calls };
}

describe('KEYS and SCAN', () => {
  const shard = new TestShard();
  const names = Array.from({ length: 300 }, (_, index) => `key:${index}`);
  for (const name of names) shard.run('set', name, 'v');
  shard.run('set', 'gone', 'v', 'px', '1');
  shard.laterMs(1);

  test('KEYS finds what matches', () => {
    expect(elements(shard.run('keys', '*')).sort()).toEqual([...names].sort());
    expect(elements(shard.run('keys', 'key:1?')).sort()).toEqual(names.slice(10, 20));
    expect(elements(shard.run('keys', '[^k]*'))).toEqual([]);
  });

  test('SCAN returns every key once when nothing changes', () => {
    const { keys, calls } = scanAll(shard);
    expect(keys.sort()).toEqual([...names].sort());
    expect(calls).toBeGreaterThan(20);
    expect(scanAll(shard, 'count', 10_000).calls).toBe(1);
  });

  test('SCAN MATCH and TYPE', () => {
    expect(scanAll(shard, 'MATCH', 'key:2*', 'COUNT', 50).keys.length).toBe(111);
    expect(scanAll(shard, 'type', 'STRING').keys.length).toBe(300);
    expect(scanAll(shard, 'type', 'hash').keys.length).toBe(0);
  });

  test('SCAN goes from shard to shard', () => {
    const second = new TestShard({ shardId: 1, shardCount: 3 });
    second.run('set', 'k', 'v');
    expect(second.run('scan', '0', 'count', 10_000)).toBe('-ERR invalid cursor\r\n');
    expect(second.run('scan', String(2 ** 32), 'count', 10_000)).toBe(
      `*2\r\n${bulk(String(2 ** 33))}${bulks('k')}`,
    );
    const last = new TestShard({ shardId: 2, shardCount: 3 });
    expect(last.run('scan', String(2 ** 33), 'count', 10_000)).toBe(`*2\r\n${bulk('0')}*0\r\n`);
  });
});

test('a key over the limit is refused where it would be stored', () => {
  const shard = new TestShard();
  const key = 'k'.repeat(65_536);
  const error = '-ERR key is too long: 65536 bytes, the limit is 65535\r\n';
  expect(shard.run('set', key, 'v')).toBe(error);
  expect(shard.run('mset', 'a', '1', key, 'v')).toBe(error);
  expect(shard.run('incr', key)).toBe(error);
  expect(shard.run('set', 'a', 'v')).toBe(OK);
  expect(shard.run('rename', 'a', key)).toBe(error);
  expect(shard.run('get', key)).toBe(NIL);
  expect(shard.run('del', key)).toBe(integer(0));
  expect(shard.run('set', key.slice(1), 'v')).toBe(OK);
  expect(shard.run('get', key.slice(1))).toBe(bulk('v'));
});
