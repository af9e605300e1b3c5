import { describe, expect, test } from 'vitest';
import {
  Config,
  choiceParameter,
  fixedParameter,
  integerParameter,
  memoryParameter,
} from '../../src/commands/config.js';
import { arity, bulks, OK, SERVER, TestShard } from './support.js';

function fixture(): { shard: TestShard; values: Record<string, string | number>; resets: () => number } {
  const values: Record<string, string | number> = { appendfsync: 'everysec', maxmemory: 1000, timeout: 0 };
  const config = new Config([
    fixedParameter('port', '6380'),
    choiceParameter(
      'appendfsync',
      ['always', 'everysec', 'no'],
      () => String(values.appendfsync),
      (value) => {
        values.appendfsync = value;
      },
    ),
    memoryParameter(
      'maxmemory',
      () => Number(values.maxmemory),
      (value) => {
        values.maxmemory = value;
      },
    ),
  ]);
  config.define(
    integerParameter(
      'timeout',
      0,
      100,
      () => Number(values.timeout),
      (value) => {
        values.timeout = value;
      },
    ),
  );
  let resets = 0;
  const server = { ...SERVER, resetCounters: () => void resets++ };
  return { shard: new TestShard({ config, server }), values, resets: () => resets };
}

function failed(name: string, why: string): string {
  return `-ERR CONFIG SET failed (possibly related to argument '${name}') - ${why}\r\n`;
}

describe('CONFIG', () => {
  test('GET takes globs', () => {
    const { shard } = fixture();
    expect(shard.run('config', 'get', 'port')).toBe(bulks('port', '6380'));
    expect(shard.run('CONFIG', 'GET', 'MAX*')).toBe(bulks('maxmemory', '1000'));
    expect(shard.run('config', 'get', '[pt]*', 'timeout')).toBe(bulks('port', '6380', 'timeout', '0'));
    expect(shard.run('config', 'get', 'nothing')).toBe('*0\r\n');
    shard.run('hello', '3');
    expect(shard.run('config', 'get', 'port')).toBe('%1\r\n$4\r\nport\r\n$4\r\n6380\r\n');
  });

  test('SET changes what it understands', () => {
    const { shard, values } = fixture();
    expect(shard.run('config', 'set', 'AppendFsync', 'ALWAYS', 'timeout', '60')).toBe(OK);
    expect(values).toEqual({ appendfsync: 'always', maxmemory: 1000, timeout: 60 });
    for (const [text, bytes] of [
      ['123', 123],
      ['5b', 5],
      ['1k', 1000],
      ['1kb', 1024],
      ['2M', 2_000_000],
      ['2mb', 2_097_152],
      ['3g', 3e9],
      ['1GB', 1024 ** 3],
    ] as const) {
      expect(shard.run('config', 'set', 'maxmemory', text)).toBe(OK);
      expect(values.maxmemory).toBe(bytes);
    }
  });

  test('SET changes nothing when one value is wrong', () => {
    const { shard, values } = fixture();
    const before = { ...values };
    const run = (...args: string[]): string => shard.run('config', 'set', 'timeout', '5', ...args);
    expect(run('maxmemory', '5 apples')).toBe(failed('maxmemory', 'argument must be a memory value'));
    expect(run('maxmemory', '5pb')).toBe(failed('maxmemory', 'argument must be a memory value'));
    expect(run('appendfsync', 'maybe')).toBe(
      failed('appendfsync', 'argument(s) must be one of the following: always, everysec, no'),
    );
    expect(run('port', '1')).toBe(failed('port', "can't set immutable config"));
    expect(run('timeout', '6')).toBe(failed('timeout', 'duplicate parameter'));
    expect(run('nothing', '6')).toBe(
      "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'\r\n",
    );
    expect(run('maxmemory')).toBe(arity('config|set'));
    expect(shard.run('config', 'set', 'timeout', '101')).toBe(
      failed('timeout', 'argument must be between 0 and 100 inclusive'),
    );
    expect(shard.run('config', 'set', 'timeout', '1x')).toBe(
      failed('timeout', "argument couldn't be parsed into an integer"),
    );
    expect(values).toEqual(before);
  });

  test('RESETSTAT sets counters back', () => {
    const { shard, resets } = fixture();
    shard.run('get', 'k');
    expect(shard.store.stats.misses).toBe(1);
    expect(shard.run('config', 'resetstat')).toBe(OK);
    expect(shard.store.stats.misses).toBe(0);
    expect(shard.context.commandsProcessed).toBe(0);
    expect(resets()).toBe(1);
  });

  test('wrong uses', () => {
    const { shard } = fixture();
    expect(shard.run('config')).toBe(arity('config'));
    expect(shard.run('config', 'get')).toBe(arity('config|get'));
    expect(shard.run('config', 'set', 'a')).toBe(arity('config|set'));
    expect(shard.run('config', 'rewrite')).toBe("-ERR unknown subcommand 'rewrite'. Try CONFIG HELP.\r\n");
  });
});
