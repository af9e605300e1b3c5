import { IOBuf } from '@sunstar/iobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { execute, route, SEVERAL_SHARDS, type Spread, spread } from '../../src/commands/index.js';
import { ReplyWriter } from '../../src/resp/index.js';
import { encode } from '../support/encode.js';
import { bulk, bulks, integer, NIL, NOW_MS, OK, SERVER, TestShard } from './support.js';

/** Several shards, and what a server does between them. */
class Cluster {
  readonly shards: readonly TestShard[];
  /** The shards that the last command asked, in order. */
  asked: number[] = [];

  constructor(shardCount: number) {
    this.shards = Array.from(
      { length: shardCount },
      (_, shardId) =>
        new TestShard({
          shardId,
          shardCount,
          server: {
            ...SERVER,
            counters: () => [{ section: 'clients', name: 'connected_clients', value: 1 }],
            clientList: () => `id=${shardId}\n`,
          },
        }),
    );
  }

  /** Executes a command of a client that is connected to shard `home`. */
  run(home: number, ...args: readonly (string | number)[]): string {
    const shard = this.shards[home];
    const request = encode(...args);
    this.asked = [];
    let owner = home;
    let round: Spread | null = null;
    let requests: Buffer[] = [];
    const local = shard.bytes(request, (argv, argc) => {
      owner = route(shard.context, argv, argc);
      if (owner === home) execute(shard.context, argv, argc, shard.writer);
      if (owner !== SEVERAL_SHARDS) return;
      round = spread(shard.context, argv, argc);
      requests = this.#write(home, round);
    });
    if (owner === home) return local.toString('latin1');
    if (owner !== SEVERAL_SHARDS) return this.#ask(home, owner, request).toString('latin1');

    let reply = '';
    for (let current = round as Spread | null; current !== null; ) {
      const { requests: targets, finish } = current;
      const replies = targets.map((target, index) => this.#ask(home, target.shard, requests[index]));
      let next: Spread | null = null;
      reply = this.#written(home, (writer) => {
        next = finish(replies, writer);
      }).toString('latin1');
      current = next;
      if (current !== null) requests = this.#write(home, current);
    }
    return reply;
  }

  #write(home: number, round: Spread): Buffer[] {
    return round.requests.map((request) => this.#written(home, (writer) => request.write(writer)));
  }

  #written(home: number, body: (writer: ReplyWriter) => void): Buffer {
    const { memory, client } = this.shards[home];
    const writer = new ReplyWriter(memory);
    using sink = new IOBuf(memory);
    writer.begin(sink, client.protocol);
    body(writer);
    writer.flush();
    return sink.toBuffer();
  }

  #ask(home: number, owner: number, request: Buffer): Buffer {
    this.asked.push(owner);
    const shard = this.shards[owner];
    const { protocol } = shard.client;
    shard.client.protocol = this.shards[home].client.protocol;
    const reply = shard.runForShard(request);
    shard.client.protocol = protocol;
    return reply;
  }
}

// With three shards, `foo` (slot 12182) is on shard 2, `bar` (5061) and `hello` (866) on shard 0, `n` on 0 or 1.
const FOO_SHARD = 2;
const BAR_SHARD = 0;

describe('a command goes', () => {
  test('to the owner of its key', () => {
    const cluster = new Cluster(3);
    expect(cluster.run(0, 'set', 'foo', 'v')).toBe(OK);
    expect(cluster.asked).toEqual([FOO_SHARD]);
    expect(cluster.run(FOO_SHARD, 'get', 'foo')).toBe(bulk('v'));
    expect(cluster.asked).toEqual([]);
    expect(cluster.run(1, 'get', 'anything{foo}')).toBe(NIL);
    expect(cluster.asked).toEqual([FOO_SHARD]);
  });

  test('nowhere, when it needs no key or is wrong', () => {
    const cluster = new Cluster(3);
    for (const command of [
      ['ping'],
      ['client', 'id'],
      ['config', 'get', '*'],
      ['get'],
      ['nothing'],
      ['client', 'x'],
      ['mset', 'a', '1', 'b'],
      ['debug', 'sleep', '0'],
      ['scan', 'x'],
    ]) {
      cluster.run(1, ...command);
      expect(cluster.asked).toEqual([]);
    }
    expect(cluster.run(1, 'mset', 'foo', '1', 'bar')).toBe(
      "-ERR wrong number of arguments for 'mset' command\r\n",
    );
  });

  test('to one shard when all its keys are there', () => {
    const cluster = new Cluster(3);
    expect(cluster.run(0, 'mset', 'a{foo}', '1', 'b{foo}', '2')).toBe(OK);
    expect(cluster.asked).toEqual([FOO_SHARD]);
    expect(cluster.run(0, 'rename', 'a{foo}', 'c{foo}')).toBe(OK);
    expect(cluster.asked).toEqual([FOO_SHARD]);
    expect(cluster.run(0, 'msetnx', 'a{foo}', '1', 'b{foo}', '2')).toBe(integer(0));
    expect(cluster.run(0, 'mget', 'b{foo}', 'c{foo}')).toBe(bulks('2', '1'));
  });

  test('to the shard that a cursor names', () => {
    const cluster = new Cluster(3);
    cluster.run(0, 'scan', String(2 ** 32), 'count', '100000');
    expect(cluster.asked).toEqual([1]);
    expect(cluster.run(1, 'scan', String(3 * 2 ** 32))).toBe('-ERR invalid cursor\r\n');
  });

  test('always to the only shard', () => {
    const cluster = new Cluster(1);
    cluster.run(0, 'mset', 'foo', '1', 'bar', '2');
    expect(cluster.run(0, 'dbsize')).toBe(integer(2));
    expect(cluster.asked).toEqual([]);
  });
});

describe('replies of several shards become one', () => {
  function filled(): Cluster {
    const cluster = new Cluster(3);
    expect(cluster.run(1, 'mset', 'foo', 'f', 'bar', 'b', 'hello', 'h')).toBe(OK);
    return cluster;
  }

  test('MGET keeps the order of the keys', () => {
    const cluster = filled();
    expect(cluster.run(1, 'mget', 'foo', 'x', 'bar', 'foo', 'hello')).toBe(bulks('f', null, 'b', 'f', 'h'));
    expect(cluster.asked.length).toBeLessThanOrEqual(3);
    expect(cluster.run(1, 'hello', '3')).toMatch(/^%7/);
    expect(cluster.run(1, 'mget', 'foo', 'x', 'bar')).toBe(`*3\r\n${bulk('f')}_\r\n${bulk('b')}`);
  });

  test('numbers are added', () => {
    const cluster = filled();
    expect(cluster.run(1, 'exists', 'foo', 'bar', 'x', 'foo')).toBe(integer(3));
    expect(cluster.run(1, 'dbsize')).toBe(integer(3));
    expect(cluster.run(1, 'del', 'foo', 'bar', 'x')).toBe(integer(2));
    expect(cluster.run(1, 'dbsize')).toBe(integer(1));
    expect(cluster.run(2, 'flushall')).toBe(OK);
    expect(cluster.run(1, 'dbsize')).toBe(integer(0));
  });

  test('KEYS and CLIENT LIST are put together', () => {
    const cluster = filled();
    const keys = cluster.run(1, 'keys', '*');
    expect(keys).toMatch(/^\*3\r\n/);
    for (const key of ['foo', 'bar', 'hello']) expect(keys).toContain(bulk(key));
    expect(cluster.run(1, 'client', 'list')).toBe(bulk('id=0\nid=1\nid=2\n'));
  });

  test('RANDOMKEY returns a key if there is one anywhere', () => {
    const cluster = new Cluster(3);
    expect(cluster.run(0, 'randomkey')).toBe(NIL);
    cluster.run(0, 'set', 'foo', 'v');
    expect(cluster.run(BAR_SHARD, 'randomkey')).toBe(bulk('foo'));
  });

  test('INFO adds up', () => {
    const cluster = filled();
    const info = cluster.run(1, 'info');
    expect(info).toContain('db0:keys=3,expires=0');
    expect(info).toContain('connected_clients:3\r\n');
    expect(info).toContain('shards:3\r\n');
    expect(cluster.run(1, 'info', 'keyspace')).toBe(bulk('# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\n'));
  });

  test('the first error is the reply', () => {
    const cluster = filled();
    cluster.shards[FOO_SHARD].context.writeRefusal = 'MISCONF disk full';
    expect(cluster.run(1, 'mset', 'bar', '1', 'foo', '2')).toBe('-MISCONF disk full\r\n');
    expect(cluster.run(1, 'del', 'bar', 'foo')).toBe('-MISCONF disk full\r\n');
    expect(cluster.run(1, 'rename', 'hello', 'foo')).toBe('-MISCONF disk full\r\n');
    expect(cluster.run(1, 'get', 'hello')).toBe(bulk('h'));
    expect(cluster.run(1, 'flushall')).toBe('-MISCONF disk full\r\n');
    expect(cluster.run(1, 'mget', 'hello', 'foo')).toBe(bulks(null, 'f'));
  });
});

describe('across shards', () => {
  test('MSETNX is refused', () => {
    const cluster = new Cluster(3);
    expect(cluster.run(0, 'msetnx', 'foo', '1', 'bar', '2')).toMatch(/^-CROSSSLOT .*hash tag/);
    expect(cluster.run(0, 'dbsize')).toBe(integer(0));
  });

  test('RENAME moves value and expiry', () => {
    const cluster = new Cluster(3);
    expect(cluster.run(1, 'rename', 'foo', 'bar')).toBe('-ERR no such key\r\n');
    const value = 'v'.repeat(300_000);
    cluster.run(1, 'set', 'foo', value, 'pxat', NOW_MS + 5000);
    cluster.run(1, 'set', 'bar', 'old');
    expect(cluster.run(1, 'rename', 'foo', 'bar')).toBe(OK);
    expect(cluster.asked).toEqual([FOO_SHARD, BAR_SHARD, FOO_SHARD]);
    expect(cluster.run(1, 'get', 'bar') === bulk(value)).toBe(true);
    expect(cluster.run(1, 'pttl', 'bar')).toBe(integer(5000));
    expect(cluster.run(1, 'exists', 'foo')).toBe(integer(0));
    expect(cluster.run(1, 'persist', 'bar')).toBe(integer(1));
    expect(cluster.run(1, 'rename', 'bar', 'foo')).toBe(OK);
    expect(cluster.run(1, 'pttl', 'foo')).toBe(integer(-1));
  });

  test('RENAME without memory for the copy keeps the old key', () => {
    const cluster = new Cluster(3);
    cluster.run(0, 'set', 'foo', 'v'.repeat(50_000));
    cluster.shards[BAR_SHARD].store.maxBytes = 20_000;
    expect(cluster.run(1, 'rename', 'foo', 'bar')).toMatch(/^-OOM/);
    expect(cluster.run(1, 'exists', 'foo')).toBe(integer(1));
  });
});

test('several shards answer as one does', () => {
  const key = fc.constantFrom('foo', 'bar', 'hello', 'n', '', 'a', 'b{foo}', 'c{bar}');
  const value = fc.constantFrom('1', '2', 'text', '');
  const keys = fc.array(key, { minLength: 1, maxLength: 5 });
  const command = fc.oneof(
    fc.tuple(fc.constant('set'), key, value).map((parts) => [...parts]),
    fc.tuple(fc.constantFrom('get', 'incr', 'getdel', 'strlen', 'ttl'), key).map((parts) => [...parts]),
    keys.map((list) => ['mget', ...list]),
    keys.map((list) => ['del', ...list]),
    keys.map((list) => ['exists', ...list]),
    fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 4 }).map((pairs) => ['mset', ...pairs.flat()]),
    fc.tuple(fc.constant('rename'), key, key).map((parts) => [...parts]),
    fc.tuple(fc.constant('expire'), key, fc.constantFrom('100', '0')).map((parts) => [...parts]),
    fc.constantFrom(
      ['dbsize'],
      ['flushdb'],
      ['mset', 'foo'],
      ['mget'],
      ['ping'],
      ['flushall', 'x'],
      ['keys', 'fo?'],
    ),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 4 }),
      fc.array(fc.tuple(command, fc.nat(3)), { maxLength: 30, size: 'max' }),
      fc.boolean(),
      (shardCount, steps, resp3) => {
        const one = new Cluster(1);
        const several = new Cluster(shardCount);
        if (resp3) {
          one.shards[0].client.protocol = 3;
          for (const shard of several.shards) shard.client.protocol = 3;
        }
        for (const [args, home] of steps) {
          expect(several.run(home % shardCount, ...args)).toBe(one.run(0, ...args));
        }
      },
    ),
    { numRuns: 40 },
  );
});
