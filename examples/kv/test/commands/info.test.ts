import RedisParser from 'redis-parser';
import { describe, expect, test } from 'vitest';
import { arity, bulk, bulks, integer, TestShard } from './support.js';

/** A RESP2 reply as JavaScript values. */
function decode(reply: string): unknown {
  let decoded: unknown;
  const parser = new RedisParser({
    returnReply: (value: unknown) => {
      decoded = value;
    },
    returnError: (error: Error) => {
      throw error;
    },
  });
  parser.execute(Buffer.from(reply, 'latin1'));
  return decoded;
}

/** INFO's lines by section. */
function sections(reply: string): Record<string, Record<string, string>> {
  const found: Record<string, Record<string, string>> = {};
  for (const block of String(decode(reply)).split('# ').slice(1)) {
    const [title = '', ...lines] = block.split('\r\n').filter((line) => line !== '');
    found[title] = Object.fromEntries(lines.map((line) => line.split(':') as [string, string]));
  }
  return found;
}

describe('INFO', () => {
  test('has all sections', () => {
    const shard = new TestShard();
    shard.run('set', 'k', 'v', 'ex', '10');
    shard.run('mget', 'k', 'x');
    const info = sections(shard.run('info'));
    expect(Object.keys(info)).toEqual([
      'Server',
      'Clients',
      'Memory',
      'Persistence',
      'Stats',
      'Replication',
      'CPU',
      'Cluster',
      'Keyspace',
    ]);
    expect(info.Server).toMatchObject({
      redis_version: '7.0.0',
      sunstar_version: '1.2.3',
      tcp_port: '6380',
      shards: '1',
    });
    expect(info.Clients).toEqual({ connected_clients: '2' });
    expect(info.Memory).toMatchObject({ used_memory: String(shard.store.usedBytes), maxmemory: '0' });
    expect(info.Persistence).toMatchObject({ loading: '0' });
    expect(info.Stats).toMatchObject({
      keyspace_hits: '1',
      keyspace_misses: '1',
      total_commands_processed: '3',
    });
    expect(info.Keyspace).toEqual({ db0: 'keys=1,expires=1,avg_ttl=0' });
  });

  test('of chosen sections', () => {
    const shard = new TestShard();
    expect(Object.keys(sections(shard.run('info', 'MEMORY', 'clients')))).toEqual(['Clients', 'Memory']);
    expect(Object.keys(sections(shard.run('info', 'everything'))).length).toBe(9);
    expect(shard.run('info', 'nothing')).toBe(bulk(''));
    expect(shard.run('info', 'keyspace')).toBe(bulk('# Keyspace\r\n'));
  });

  test('of a human', () => {
    const shard = new TestShard({ store: { maxBytes: 3 * 1024 * 1024 } });
    expect(sections(shard.run('info')).Memory).toMatchObject({
      maxmemory: '3145728',
      maxmemory_human: '3.00M',
      used_memory_human: '16.00K',
    });
  });

  test('is a verbatim string in RESP3', () => {
    const shard = new TestShard();
    shard.run('hello', '3');
    expect(shard.run('info', 'replication')).toMatch(/^=\d+\r\ntxt:# Replication\r\nrole:master\r\n/);
  });
});

test('TIME', () => {
  const [seconds, microseconds] = (decode(new TestShard().run('time')) as string[]).map(Number);
  expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(5);
  expect(microseconds).toBeLessThan(1e6);
  expect(new TestShard().run('time', 'x')).toBe(arity('time'));
});

describe('COMMAND', () => {
  const shard = new TestShard();
  const all = decode(shard.run('command')) as [string, number, string[], number, number, number][];
  const byName = new Map(all.map((entry) => [entry[0], entry]));

  test('describes every command', () => {
    expect(shard.run('command', 'count')).toBe(integer(all.length));
    expect(byName.size).toBe(all.length);
    expect(decode(shard.run('command', 'list'))).toEqual([...byName.keys()]);
    expect(byName.get('get')?.slice(0, 6)).toEqual(['get', 2, ['readonly', 'fast'], 1, 1, 1]);
    expect(byName.get('mset')?.slice(0, 6)).toEqual(['mset', -3, ['write', 'denyoom'], 1, -1, 2]);
    expect(byName.get('rename')?.slice(0, 6)).toEqual(['rename', 3, ['write'], 1, 2, 1]);
    expect(byName.get('ping')?.slice(0, 6)).toEqual(['ping', -1, ['fast'], 0, 0, 0]);
    expect(byName.has('dump')).toBe(false);
    for (const entry of all) expect(entry.length).toBe(10);
  });

  test('knows all commands that were promised', () => {
    const promised =
      'ping echo hello select quit command config info dbsize time client get set setnx getdel getex append strlen ' +
      'getrange setrange incr incrby decr decrby incrbyfloat mget mset msetnx del unlink exists type expire pexpire ' +
      'expireat ttl pttl persist keys scan randomkey rename flushdb flushall debug';
    expect(promised.split(' ').filter((name) => !byName.has(name))).toEqual([]);
  });

  test('no command is reached with fewer arguments than it needs', () => {
    for (const [name, arityOf] of all) {
      if (Math.abs(arityOf) > 1) expect(shard.run(name)).toBe(arity(name));
    }
  });

  test('INFO and DOCS of some', () => {
    expect(decode(shard.run('command', 'info', 'GET', 'nothing'))).toEqual([byName.get('get'), null]);
    const [name, fields] = decode(shard.run('command', 'docs', 'get', 'nothing')) as [string, string[]];
    expect(name).toBe('get');
    expect(fields.filter((_, index) => index % 2 === 0)).toEqual(['summary', 'since', 'group', 'complexity']);
    const container = decode(shard.run('command', 'docs', 'config')) as [string, unknown[]];
    expect(container[1].slice(8, 9)).toEqual(['subcommands']);
    expect((decode(shard.run('command', 'docs')) as unknown[]).length).toBe(2 * all.length);
    expect((decode(shard.run('command', 'info', 'client|list')) as string[][])[0][0]).toBe('client|list');
  });

  test('GETKEYS', () => {
    expect(shard.run('command', 'getkeys', 'mset', 'a', '1', 'b', '2')).toBe(bulks('a', 'b'));
    expect(shard.run('command', 'getkeys', 'get', 'k')).toBe(bulks('k'));
    expect(shard.run('command', 'getkeys', 'del', 'a', 'b', 'c')).toBe(bulks('a', 'b', 'c'));
    expect(shard.run('command', 'getkeys', 'ping')).toBe('-ERR The command has no key arguments\r\n');
    expect(shard.run('command', 'getkeys', 'nothing')).toBe('-ERR Invalid command specified\r\n');
    expect(shard.run('command', 'getkeys', 'get')).toBe(
      '-ERR Invalid number of arguments specified for command\r\n',
    );
  });

  test('in RESP3, with sets and maps', () => {
    const resp3 = new TestShard();
    resp3.run('hello', '3');
    expect(resp3.run('command', 'info', 'dbsize')).toBe(
      `*1\r\n*10\r\n${bulk('dbsize')}:1\r\n~2\r\n+readonly\r\n+fast\r\n:0\r\n:0\r\n:0\r\n~2\r\n+@read\r\n+@fast\r\n*0\r\n*0\r\n*0\r\n`,
    );
    expect(resp3.run('command', 'docs', 'get')).toMatch(/^%1\r\n\$3\r\nget\r\n%4\r\n/);
  });
});
