import { IOBuf } from '@sunstar/iobuf';
import { heapArena, ShardMemory } from '@sunstar/runtime';
import { expect } from 'vitest';
import { Config } from '../../src/commands/config.js';
import { ClientState, CommandContext, type ServerInfo } from '../../src/commands/context.js';
import { execute, executeForShard } from '../../src/commands/index.js';
import { ParseStatus, ReplyWriter, RequestParser } from '../../src/resp/index.js';
import { Store, type StoreOptions } from '../../src/store/index.js';
import { encode } from '../support/encode.js';

export const NOW_MS = 1_800_000_000_000;

export const SERVER: ServerInfo = {
  version: '1.2.3',
  facts: () => [{ section: 'server', name: 'tcp_port', value: '6380' }],
  counters: () => [{ section: 'clients', name: 'connected_clients', value: 2 }],
  resetCounters: () => undefined,
  clientList: () => 'id=1 addr=127.0.0.1:1\n',
};

export interface TestShardOptions {
  readonly arenaBytes?: number;
  readonly store?: StoreOptions;
  readonly config?: Config;
  readonly server?: ServerInfo;
  readonly shardId?: number;
  readonly shardCount?: number;
}

/** One shard without a server around it: commands go in as bytes, replies come out as text. */
export class TestShard {
  readonly memory: ShardMemory;
  readonly store: Store;
  readonly context: CommandContext;
  readonly writer: ReplyWriter;
  readonly client: ClientState = new ClientState(7);
  readonly #parser: RequestParser;

  constructor(options: TestShardOptions = {}) {
    this.memory = new ShardMemory(heapArena(options.arenaBytes ?? 16 * 1024 * 1024), { debug: true });
    this.store = new Store(this.memory, options.store);
    this.store.nowMs = NOW_MS;
    this.context = new CommandContext({
      memory: this.memory,
      store: this.store,
      config: options.config ?? new Config(),
      server: options.server ?? SERVER,
      shardId: options.shardId ?? 0,
      shardCount: options.shardCount ?? 1,
    });
    this.context.client = this.client;
    this.writer = new ReplyWriter(this.memory);
    this.#parser = new RequestParser(this.memory.bytes);
  }

  /** Executes one command; the reply with one character for each byte. */
  run(...args: readonly (string | number | Uint8Array)[]): string {
    return this.bytes(encode(...args), (argv, argc) =>
      execute(this.context, argv, argc, this.writer),
    ).toString('latin1');
  }

  /** Executes a request as another shard would send it. */
  runForShard(request: Uint8Array): Buffer {
    return this.bytes(request, (argv, argc) => executeForShard(this.context, argv, argc, this.writer));
  }

  /** Parses one request and calls `body` with its arguments; returns what it has written. */
  bytes(request: Uint8Array, body: (argv: Uint32Array, argc: number) => void): Buffer {
    const offset = this.memory.allocate(request.length);
    this.memory.bytes.set(request, offset);
    using sink = new IOBuf(this.memory);
    this.writer.begin(sink, this.client.protocol);
    try {
      expect(this.#parser.parse(offset, offset + request.length)).toBe(ParseStatus.Complete);
      body(this.#parser.argv, this.#parser.argc);
      this.writer.flush();
    } finally {
      this.memory.free(offset);
    }
    this.store.invariants();
    return sink.toBuffer();
  }

  laterMs(byMs: number): void {
    this.store.nowMs += byMs;
  }

  /** Blocks that are neither the store's table nor the context's. */
  get extraBlocks(): number {
    return this.memory.stats().liveBlocks - 2;
  }
}

/** A bulk. */
export function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** An array of bulks; null is nil. */
export function bulks(...texts: readonly (string | null)[]): string {
  return `*${texts.length}\r\n${texts.map((text) => (text === null ? '$-1\r\n' : bulk(text))).join('')}`;
}

export const OK = '+OK\r\n';
export const NIL = '$-1\r\n';
export const SYNTAX = '-ERR syntax error\r\n';
export const NOT_INTEGER = '-ERR value is not an integer or out of range\r\n';
export const OOM = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

export function integer(value: number | bigint): string {
  return `:${value}\r\n`;
}

export function arity(name: string): string {
  return `-ERR wrong number of arguments for '${name}' command\r\n`;
}

/** One line of a table: the command as words, and its reply. A later line sees what the earlier ones did. */
export type Line = readonly [command: string, reply: string];

/** Runs the lines on one shard; a number as a command lets so many milliseconds pass. */
export function runLines(lines: readonly Line[], shard: TestShard = new TestShard()): void {
  for (const [command, reply] of lines) {
    const delay = /^\+(\d+) ms$/.exec(command);
    if (delay === null) {
      const words = command === '' ? [] : command.split(' ').map((word) => (word === '""' ? '' : word));
      expect(`${command} → ${shard.run(...words)}`).toBe(`${command} → ${reply}`);
    } else {
      shard.laterMs(Number(delay[1]));
    }
  }
}
