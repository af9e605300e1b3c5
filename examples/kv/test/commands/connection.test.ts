import { describe, expect, test } from 'vitest';
import { clientFields } from '../../src/commands/connection.js';
import {
  arity,
  bulk,
  integer,
  type Line,
  NIL,
  NOT_INTEGER,
  OK,
  runLines,
  SYNTAX,
  TestShard,
} from './support.js';

const BAD_NAME = '-ERR Client names cannot contain spaces, newlines or special characters.\r\n';

const TABLES: readonly (readonly [string, readonly Line[]])[] = [
  [
    'PING and ECHO',
    [
      ['ping', '+PONG\r\n'],
      ['PING hi', bulk('hi')],
      ['ping a b', arity('ping')],
      ['echo hi', bulk('hi')],
      ['echo', arity('echo')],
    ],
  ],
  [
    'SELECT',
    [
      ['select 0', OK],
      ['select 1', '-ERR DB index is out of range\r\n'],
      ['select x', NOT_INTEGER],
    ],
  ],
  [
    'CLIENT',
    [
      ['client id', integer(7)],
      ['client getname', NIL],
      ['client setname worker-1', OK],
      ['client GETNAME', bulk('worker-1')],
      ['client setname ""', OK],
      ['client getname', NIL],
      ['client setinfo lib-name ioredis', OK],
      ['client setinfo LIB-VER 5.1', OK],
      ['client setinfo lib-x 5.1', "-ERR Unrecognized option 'lib-x'\r\n"],
      ['client list', bulk('id=1 addr=127.0.0.1:1\n')],
      ['client list x', SYNTAX],
      ['client', arity('client')],
      ['client setname', arity('client|setname')],
      ['client nothing', "-ERR unknown subcommand 'nothing'. Try CLIENT HELP.\r\n"],
    ],
  ],
  [
    'HELLO refuses',
    [
      ['hello x', '-ERR Protocol version is not an integer or out of range\r\n'],
      ['hello 4', '-NOPROTO unsupported protocol version\r\n'],
      ['hello 3 auth bob secret', '-WRONGPASS invalid username-password pair or user is disabled.\r\n'],
      ['hello 3 bogus', "-ERR Syntax error in HELLO option 'bogus'\r\n"],
      ['hello 3 setname', "-ERR Syntax error in HELLO option 'setname'\r\n"],
      ['get k', NIL],
    ],
  ],
];

test.each(TABLES)('%s', (_title, lines) => runLines(lines));

describe('names', () => {
  test.each(['two words', 'tab\t', 'line\n', 'ä'])('%j is none', (name) => {
    const shard = new TestShard();
    expect(shard.run('client', 'setname', name)).toBe(BAD_NAME);
    expect(shard.run('hello', '3', 'setname', name)).toBe(BAD_NAME);
    expect(shard.run('client', 'setinfo', 'lib-name', name)).toMatch(/^-ERR lib-name cannot contain spaces/);
    expect(shard.client.name).toBe('');
    expect(shard.client.protocol).toBe(2);
  });
});

describe('HELLO', () => {
  test('chooses the protocol', () => {
    const shard = new TestShard();
    const fields = (proto: number): string =>
      `${bulk('server')}${bulk('redis')}${bulk('version')}${bulk('7.0.0')}${bulk('proto')}:${proto}\r\n` +
      `${bulk('id')}:7\r\n${bulk('mode')}${bulk('standalone')}${bulk('role')}${bulk('master')}${bulk('modules')}*0\r\n`;
    expect(shard.run('hello')).toBe(`*14\r\n${fields(2)}`);
    expect(shard.run('hello', '3', 'auth', 'default', 'any', 'setname', 'me')).toBe(`%7\r\n${fields(3)}`);
    expect(shard.client.name).toBe('me');
    expect(shard.run('get', 'k')).toBe('_\r\n');
    expect(shard.run('mget', 'k')).toBe('*1\r\n_\r\n');
    expect(shard.run('client', 'list')).toMatch(/^=\d+\r\ntxt:id=1/);
    expect(shard.run('hello')).toBe(`%7\r\n${fields(3)}`);
    expect(shard.run('hello', '2')).toBe(`*14\r\n${fields(2)}`);
    expect(shard.run('get', 'k')).toBe(NIL);
  });
});

test('QUIT closes after its reply', () => {
  const shard = new TestShard();
  expect(shard.client.closing).toBe(false);
  expect(shard.run('quit')).toBe(OK);
  expect(shard.client.closing).toBe(true);
});

test('DEBUG SLEEP asks the server to pause the connection', () => {
  const shard = new TestShard();
  expect(shard.run('debug', 'sleep', '0.25')).toBe(OK);
  expect(shard.client.pauseMs).toBe(250);
  shard.client.pauseMs = 0;
  for (const time of ['x', '-1', '1e9', '']) {
    expect(shard.run('debug', 'sleep', time)).toBe('-ERR value is not a valid float\r\n');
  }
  expect(shard.client.pauseMs).toBe(0);
  expect(shard.run('debug', 'segfault')).toBe("-ERR unknown subcommand 'segfault'. Try DEBUG HELP.\r\n");
});

test('fields of CLIENT LIST', () => {
  const shard = new TestShard();
  shard.run('client', 'setname', 'n');
  shard.run('client', 'setinfo', 'lib-name', 'ioredis');
  expect(clientFields(shard.client)).toBe('name=n db=0 resp=2 lib-name=ioredis lib-ver=');
});
