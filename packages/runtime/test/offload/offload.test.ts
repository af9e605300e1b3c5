import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createArena, LentBlock, offloadModule, ShardMemory } from '@sunstar/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// The pool starts threads, which run built output.
import { OffloadClient } from '../../dist/offload/client.js';
import { fullOffloadOptions, type OffloadPoolOptions } from '../../dist/offload/options.js';
import { OffloadPool } from '../../dist/offload/pool.js';
import { placeShards } from '../../dist/placement/index.js';
import { DEFAULT_MESSAGE_LIMITS } from '../../dist/smp/codec/limits.js';

const work = new URL('./work.mjs', import.meta.url).href;

/** A pool and one shard that uses it, on this thread. */
class Bench implements AsyncDisposable {
  readonly memory = new ShardMemory(createArena(16 * 2 ** 20));
  readonly pool: OffloadPool;
  readonly client: OffloadClient;

  constructor(options: OffloadPoolOptions = {}) {
    const placed = placeShards({ shards: 1, placement: 'unbound' });
    this.pool = new OffloadPool(fullOffloadOptions({ threads: 2, ...options }, placed), 2 ** 20);
    const { memory, pool } = this;
    this.client = new OffloadClient({
      shardId: 0,
      memory,
      limits: DEFAULT_MESSAGE_LIMITS,
      defaultLimit: () => 'default',
      post: (command) => {
        if (command.type === 'offload') pool.submit(self, command.request);
        else pool.abort(self, command.callId);
      },
    });
    const self = {
      shardId: 0,
      arena: memory.arena.shared as SharedArrayBuffer,
      report: this.client.receive.bind(this.client),
    };
  }

  run(name: string, args: unknown[] = [], options = {}): Promise<unknown> {
    return this.client.call(work, name, args, options);
  }

  block(length: number, value: number): LentBlock {
    const offset = this.memory.allocate(length);
    this.memory.bytes.fill(value, offset, offset + length);
    return new LentBlock(this.memory, offset);
  }

  get usedBytes(): number {
    return this.memory.stats().usedBytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pool.invariants();
    await this.pool.close();
    this.pool.invariants();
    expect(this.pool.threadCount).toBe(0);
    expect(this.client.outstanding).toBe(0);
    expect(this.client.lent).toBe(0);
    this.memory.invariants();
  }
}

let directory: string;
let journal: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sunstar-offload-'));
  journal = join(directory, 'journal');
  writeFileSync(journal, '');
});

afterEach(() => rmSync(directory, { recursive: true }));

const running = (): string[] => readFileSync(journal, 'utf8').split('\n').filter(Boolean);
const hold = (name: string): void => writeFileSync(`${journal}.${name}`, '');
const release = (name: string): void => rmSync(`${journal}.${name}`);
const until = (name: string): Promise<void> =>
  expect.poll(running, { timeout: 15_000, interval: 5 }).toContain(name);

describe('an offloaded call', () => {
  it('runs in another thread and returns what the function does', async () => {
    await using bench = new Bench();
    expect(await bench.run('add', [1, 2])).toBe(3);
    expect(await bench.run('add', ['a', { a: 1 }])).toBe('a[object Object]');
    const { threadId } = (await bench.run('where')) as { threadId: number };
    expect(threadId).toBeGreaterThan(0);
    const long = (await bench.run('bytes', [100_000])) as Buffer;
    expect(long.equals(Buffer.alloc(100_000, 7))).toBe(true);
    expect(bench.usedBytes).toBe(0);
  });

  it('runs where the options say, at their priority', async () => {
    const [cpu] = placeShards({ shards: 1 }).allowed;
    await using bench = new Bench({ cpus: [cpu.cpu], nice: 7 });
    expect(await bench.run('where')).toMatchObject({ cpus: [cpu.cpu], nice: 7 });
  });

  it('fails with the error of the function, its class, code, cause and both stacks', async () => {
    await using bench = new Bench();
    const error = (await bench.run('fail', [[1]]).catch((thrown: unknown) => thrown)) as Error & {
      code: string;
    };
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ code: 'E_PURPOSE', detail: [1], cause: { message: 'the cause' } });
    expect(error.stack).toMatch(/work\.mjs.*at the offload pool.*offload\.test/s);
    expect(error.stack).not.toContain('piscina');
  });

  it.each([
    ['SUNSTAR_OFFLOAD_FUNCTION', 'notFunction', []],
    ['SUNSTAR_OFFLOAD_FUNCTION', 'toString', []],
    ['SUNSTAR_NOT_CLONEABLE', 'refuse', []],
    ['SUNSTAR_NOT_CLONEABLE', 'add', [() => {}]],
    ['SUNSTAR_MESSAGE_TOO_LARGE', 'bytes', [2 ** 20 + 1]],
  ] as [string, string, unknown[]][])('fails with %s', async (code, name, args) => {
    await using bench = new Bench();
    await expect(bench.run(name, args)).rejects.toMatchObject({ code });
    expect(await bench.run('add', [1, 1])).toBe(2);
    expect(bench.usedBytes).toBe(0);
  });

  it('fails when the module cannot be loaded, or the result has no room', async () => {
    await using bench = new Bench({ memory: '1MiB' });
    await expect(bench.client.call('file:///nowhere.js', 'f', [])).rejects.toMatchObject({
      code: 'SUNSTAR_OFFLOAD_MODULE',
      cause: { code: 'ERR_MODULE_NOT_FOUND' },
    });
    const half = (await bench.run('make', [2 ** 19, 1])) as LentBlock;
    await expect(bench.run('bytes', [2 ** 19])).rejects.toMatchObject({
      code: 'SUNSTAR_OUT_OF_MEMORY',
    });
    half.free();
    expect(await bench.run('bytes', [2 ** 19])).toHaveLength(2 ** 19);
    await expect(bench.run('add', [1], { timeoutMs: 0 })).rejects.toMatchObject({
      code: 'SUNSTAR_INVALID_OPTION',
    });
  });
});

describe('limits', () => {
  it('bound what runs and what waits, by name', async () => {
    await using bench = new Bench({ limits: { slow: { concurrency: 1, maxQueued: 1 } } });
    for (const name of ['a', 'b', 'c', 'd']) hold(name);
    const a = bench.run('block', [journal, 'a'], { limit: 'slow' });
    const b = bench.run('block', [journal, 'b'], { limit: 'slow' });
    await expect(bench.run('block', [journal, 'c'], { limit: 'slow' })).rejects.toMatchObject({
      code: 'SUNSTAR_OFFLOAD_OVERLOADED',
    });
    // Another limit is not held up.
    const d = bench.run('block', [journal, 'd']);
    await until('a');
    await until('d');
    expect(running()).not.toContain('b');
    release('a');
    await until('b');
    for (const name of ['b', 'd']) release(name);
    expect(await Promise.all([a, b, d])).toEqual(['a', 'b', 'd']);
    await expect(bench.run('add', [], { limit: 'unknown' })).rejects.toMatchObject({
      code: 'SUNSTAR_UNKNOWN_OFFLOAD_LIMIT',
    });
  });
});

describe('giving up', () => {
  it('drops a call that waits', async () => {
    await using bench = new Bench({ threads: 1 });
    hold('a');
    const a = bench.run('block', [journal, 'a']);
    await until('a');
    const controller = new AbortController();
    const b = bench.run('block', [journal, 'b'], { signal: controller.signal });
    controller.abort(new Error('not needed'));
    await expect(b).rejects.toMatchObject({
      code: 'SUNSTAR_OFFLOAD_ABORTED',
      cause: { message: 'not needed' },
    });
    await expect(bench.run('add', [1, 2], { signal: controller.signal })).rejects.toMatchObject({
      code: 'SUNSTAR_OFFLOAD_ABORTED',
    });
    release('a');
    expect(await a).toBe('a');
    expect(running()).toEqual(['a']);
  });

  it('ends the thread of a call that runs, and only then lets go of its arguments', async () => {
    await using bench = new Bench({ threads: 1 });
    const controller = new AbortController();
    const call = bench.run('spin', [journal, bench.block(5000, 1)], { signal: controller.signal });
    await until('spin');
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'SUNSTAR_OFFLOAD_ABORTED' });
    expect(bench.usedBytes).toBeGreaterThan(0);
    // The only thread is free again.
    expect(await bench.run('add', [1, 2])).toBe(3);
    expect(bench.usedBytes).toBe(0);
  });

  it('after a time', async () => {
    await using bench = new Bench({ threads: 1 });
    const call = bench.run('spin', [journal], { timeoutMs: 300 });
    await expect(call).rejects.toMatchObject({ code: 'SUNSTAR_OFFLOAD_TIMEOUT' });
    expect(await bench.run('add', [1, 2])).toBe(3);
  });
});

describe('a thread that ends', () => {
  it.each(['exit', 'throwOutside'])('by %s fails its call, and is replaced', async (name) => {
    await using bench = new Bench({ threads: 1 });
    await bench.run('add', [1, 2]);
    const block = bench.block(5000, 1);
    await expect(bench.run(name, [block])).rejects.toMatchObject({ code: 'SUNSTAR_OFFLOAD_CRASHED' });
    expect(bench.usedBytes).toBe(0);
    expect(await bench.run('add', [1, 2])).toBe(3);
  });

  it('with the pool fails what has not ended', async () => {
    const bench = new Bench({ threads: 1 });
    const calls = Promise.allSettled([bench.run('spin', [journal]), bench.run('add', [1, 2])]);
    await until('spin');
    await bench.pool.close();
    const stopped = { status: 'rejected', reason: { code: 'SUNSTAR_OFFLOAD_STOPPED' } };
    expect(await calls).toMatchObject([stopped, stopped]);
    await expect(bench.run('add', [1, 2])).rejects.toMatchObject({ code: 'SUNSTAR_OFFLOAD_STOPPED' });
    expect(bench.pool.threadCount).toBe(0);
  });

  it('is started when it is needed, and ends when it was idle', async () => {
    await using bench = new Bench({ idleTimeoutMs: 20 });
    expect(bench.pool.threadCount).toBe(0);
    await bench.run('add', [1, 2]);
    await expect.poll(() => bench.pool.threadCount, { timeout: 10_000 }).toBe(0);
    expect(await bench.run('add', [1, 2])).toBe(3);
  });
});

describe('memory that moves', () => {
  it('is read where it is, and comes home when the call ends', async () => {
    await using bench = new Bench();
    const block = bench.block(4096, 3);
    expect(await bench.run('sum', [block])).toBe(3 * 4096);
    expect(() => block.bytes).toThrow(expect.objectContaining({ code: 'SUNSTAR_BLOCK_SPENT' }));
    expect(bench.usedBytes).toBe(0);
  });

  it('that a function puts aside stays until that lets go', async () => {
    await using bench = new Bench({ threads: 1 });
    await bench.run('keep', [bench.block(4096, 3)]);
    expect(bench.client.lent).toBe(1);
    expect(bench.usedBytes).toBe(4096);
    await bench.run('letGo');
    await expect.poll(() => bench.usedBytes, { timeout: 10_000 }).toBe(0);
  });

  it('comes home with the thread that has put it aside', async () => {
    await using bench = new Bench({ threads: 1 });
    await bench.run('keep', [bench.block(4096, 3)]);
    await bench.run('exit').catch(() => {});
    await expect.poll(() => bench.usedBytes, { timeout: 10_000 }).toBe(0);
  });

  it('is read in the memory of the thread as a result, and goes back', async () => {
    await using bench = new Bench({ threads: 1 });
    const blocks: LentBlock[] = [];
    for (let i = 0; i < 5; i++) blocks.push((await bench.run('make', [1000, i])) as LentBlock);
    for (const [i, block] of blocks.entries()) {
      expect(block.isLocal).toBe(false);
      expect(new Set(block.bytes.subarray(block.offset, block.offset + 1000))).toEqual(new Set([i]));
    }
    const held = (await bench.run('usedBytes')) as number;
    expect(held).toBeGreaterThanOrEqual(5000);
    for (const block of blocks.slice(1)) block.free();
    await bench.run('add', [1, 1]);
    expect(await bench.run('usedBytes')).toBe(held / 5);
    // Readable after its thread has ended.
    await bench.run('exit').catch(() => {});
    expect(blocks[0].bytes[blocks[0].offset]).toBe(0);
    blocks[0].free();
  });
});

it('a typed module knows the functions', () => {
  const module = offloadModule<{ add(a: number, b: number): number; readonly version: string }>(work);
  // @ts-expect-error: no function
  void (() => module.run('version', []));
  // @ts-expect-error: wrong arguments
  void (() => module.run('add', ['a']));
  const result: Promise<number> | undefined = undefined as ReturnType<typeof module.run<'add'>> | undefined;
  expect(result).toBe(undefined);
});
