import { OutOfMemoryError } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { execute } from '../../src/commands/index.js';
import { COMMANDS, SHARD_COMMANDS } from '../../src/commands/table.js';
import type { ReplySink } from '../../src/resp/index.js';
import { encode } from '../support/encode.js';
import { arity, bulk, integer, OK, TestShard } from './support.js';

describe('unknown commands', () => {
  test('are quoted', () => {
    const shard = new TestShard();
    expect(shard.run('foo')).toBe("-ERR unknown command 'foo', with args beginning with: \r\n");
    expect(shard.run('Foo', 'a', 'b\r\nc')).toBe(
      "-ERR unknown command 'Foo', with args beginning with: 'a' 'b  c' \r\n",
    );
    expect(shard.run('x'.repeat(200), 'y'.repeat(100), 'z'.repeat(100), 'never')).toBe(
      `-ERR unknown command '${'x'.repeat(128)}', with args beginning with: '${'y'.repeat(100)}' '${'z'.repeat(25)}' \r\n`,
    );
    expect(shard.run('')).toBe("-ERR unknown command '', with args beginning with: \r\n");
  });

  test('what a web browser sends ends the connection', () => {
    for (const name of ['POST', 'Host:']) {
      const shard = new TestShard();
      shard.run(name, '/');
      expect(shard.client.closing).toBe(true);
    }
  });

  test('internal commands are for shards only', () => {
    const shard = new TestShard();
    shard.run('set', 'k', 'v');
    expect(shard.run('dump', 'k')).toMatch(/^-ERR unknown command 'dump'/);
    expect(shard.run('counters')).toMatch(/^-ERR unknown command 'counters'/);
    expect(shard.runForShard(encode('dump', 'k')).toString()).toBe('*2\r\n:0\r\n$1\r\nv\r\n');
    expect(shard.runForShard(encode('dump', 'x')).toString()).toBe('*0\r\n');
    expect(shard.runForShard(encode('get', 'k')).toString()).toBe(bulk('v'));
    expect(shard.runForShard(encode('nothing')).toString()).toMatch(/^-ERR unknown command/);
  });
});

describe('the table of commands', () => {
  test('finds every name, in capitals or not, and nothing else', () => {
    for (const [name, command] of COMMANDS.byName) {
      for (const spelling of [name, name.toUpperCase(), `${name[0]?.toUpperCase()}${name.slice(1)}`]) {
        expect(COMMANDS.find(Buffer.from(`xx${spelling}`), 2, spelling.length)).toBe(command);
      }
      expect(name).toMatch(/^[a-z]+$/);
    }
    expect(SHARD_COMMANDS.byName.size).toBe(COMMANDS.byName.size + 2);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
        const text = Buffer.from(bytes).toString('latin1').toLowerCase();
        expect(COMMANDS.find(bytes, 0, bytes.length)).toBe(COMMANDS.byName.get(text) ?? null);
      }),
    );
  });
});

test('arity is checked before anything is written', () => {
  const shard = new TestShard();
  expect(shard.run('set', 'k')).toBe(arity('set'));
  expect(shard.run('client', 'id', 'x')).toBe(arity('client|id'));
  expect(shard.run('dbsize')).toBe(integer(0));
});

test('while the log refuses writes, reads go on', () => {
  const shard = new TestShard();
  shard.run('set', 'k', 'v');
  shard.context.writeRefusal = 'MISCONF the disk is full';
  for (const command of [
    ['set', 'k', 'w'],
    ['del', 'k'],
    ['expire', 'k', '1'],
    ['flushall'],
    ['getdel', 'k'],
    ['incr', 'n'],
  ]) {
    expect(shard.run(...command)).toBe('-MISCONF the disk is full\r\n');
  }
  expect(shard.run('get', 'k')).toBe(bulk('v'));
  shard.context.writeRefusal = null;
  expect(shard.run('set', 'k', 'w')).toBe(OK);
});

test('without memory for an error reply the server is told', () => {
  const shard = new TestShard();
  const noMemory = (): never => {
    throw new OutOfMemoryError(1, 0);
  };
  const full: ReplySink = {
    reserve: noMemory,
    append: noMemory,
    appendRange: noMemory,
    commit: () => undefined,
    trimBack: () => undefined,
  };
  shard.bytes(encode('ping'), (argv, argc) => {
    shard.writer.begin(full, 2);
    expect(() => execute(shard.context, argv, argc, shard.writer)).toThrow(OutOfMemoryError);
  });
  expect(shard.run('ping')).toBe('+PONG\r\n');
});

test('whatever the arguments, there is exactly one reply and the store stays sound', () => {
  const word = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.constantFrom('a', 'b', '0', '1', '-1', '10', '9223372036854775807', '1.5', ''),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        'nx',
        'xx',
        'get',
        'ex',
        'px',
        'keepttl',
        'persist',
        'match',
        'count',
        '*',
        'set',
        'docs',
      ),
    },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 10 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    },
  );
  const names = [...COMMANDS.byName.keys()];
  const shard = new TestShard();
  fc.assert(
    fc.property(
      fc.constantFrom(...names),
      fc.array(word, { maxLength: 6 }),
      fc.constantFrom(2, 3),
      (name, args, protocol) => {
        shard.client.protocol = protocol === 3 ? 3 : 2;
        const reply = Buffer.from(shard.run(name, ...args), 'latin1');
        expect(endOfReply(reply, 0)).toBe(reply.length);
      },
    ),
    { numRuns: 3000 },
  );
});

/** Position behind the reply that starts at `at`, in either protocol. */
function endOfReply(bytes: Buffer, at: number): number {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) throw new Error(`no line end in ${bytes.toString('latin1')}`);
  const type = String.fromCharCode(bytes[at]);
  const count = Number(bytes.toString('latin1', at + 1, lineEnd));
  if ('+-:_,'.includes(type)) return lineEnd + 2;
  if ('$='.includes(type)) return count < 0 ? lineEnd + 2 : lineEnd + 4 + count;
  if (!'*%~'.includes(type)) throw new Error(`no reply begins with ${type}`);
  let end = lineEnd + 2;
  for (let element = 0; element < (type === '%' ? 2 * count : count); element++) end = endOfReply(bytes, end);
  return end;
}
