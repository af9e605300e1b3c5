import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Runtime, type RuntimeOptions, type ShardCrashedError } from '@sunstar/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const fixtures = new URL('./fixtures/', import.meta.url);
let directory: string;
let journal: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sunstar-runtime-'));
  journal = join(directory, 'journal');
  writeFileSync(journal, '');
});

afterEach(() => rmSync(directory, { recursive: true }));

function notes(): string[] {
  return readFileSync(journal, 'utf8').split('\n').filter(Boolean);
}

function start(act: string, options: Partial<RuntimeOptions> = {}): Promise<Runtime> {
  return Runtime.start({
    entry: new URL('shard.mjs', fixtures),
    shards: 2,
    memory: '64MiB',
    log: 'silent',
    data: { journal, act, on: 1 },
    ...options,
  });
}

async function crashOf(promise: Promise<unknown>): Promise<ShardCrashedError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name: 'ShardCrashedError', code: 'SUNSTAR_SHARD_CRASHED' });
  return error as ShardCrashedError;
}

describe('start and stop', () => {
  it('runs the entry on every shard, pinned, with an even part of the memory', async () => {
    const runtime = await start('nothing');
    expect(runtime.shardCount).toBe(2);
    await runtime.stop();
    const started = notes().filter((line) => line.includes('start'));
    expect(started.sort()).toEqual([`0 start 2 1 ${32 * 2 ** 20}`, `1 start 2 1 ${32 * 2 ** 20}`]);
    await runtime.finished;
  });

  it('leaves shards unpinned on request, and when there are more than CPUs', async () => {
    for (const options of [{ placement: 'unbound' }, { shards: 5 }] as const) {
      writeFileSync(journal, '');
      const runtime = await start('nothing', options);
      await runtime.stop();
      expect(notes().filter((line) => / start \d+ 1 /.test(line))).toEqual([]);
    }
  });

  it('runs stop tasks in reverse order while the reactor still works, and stops once', async () => {
    const runtime = await start('nothing');
    await Promise.all([runtime.stop(), runtime.stop()]);
    const stops = notes().filter((line) => line.startsWith('0 stop'));
    expect(stops).toEqual(['0 stop last registered stopping=true', '0 stop first registered']);
  });

  it('can be started and stopped many times without leaking threads or descriptors', async () => {
    await (await start('nothing')).stop();
    const before = readFileSync('/proc/self/status', 'utf8').match(/Threads:\s*(\d+)/)?.[1];
    for (let i = 0; i < 5; i++) await (await start('nothing')).stop();
    expect(readFileSync('/proc/self/status', 'utf8').match(/Threads:\s*(\d+)/)?.[1]).toBe(before);
  });

  it('reports the failure of a stop task after all others have run', async () => {
    const runtime = await start('stop fails');
    await expect(runtime.stop()).rejects.toThrow('1 stop tasks of shard 1 failed');
    expect(notes()).toContain('1 stop first registered');
    await runtime.finished;
  });

  it('terminates a shard that does not stop in time, and says so', async () => {
    for (const act of ['never stops', 'spins']) {
      const runtime = await start(act, { stopTimeoutMs: 300 });
      await new Promise((resolve) => setTimeout(resolve, 40));
      await expect(runtime.stop()).rejects.toMatchObject({ code: 'SUNSTAR_STOP_TIMEOUT' });
      await runtime.finished;
    }
  });

  it('gives up on a start that takes too long', async () => {
    await expect(start('never starts', { startTimeoutMs: 400, stopTimeoutMs: 500 })).rejects.toMatchObject({
      code: 'SUNSTAR_START_TIMEOUT',
    });
  });
});

describe('a crash', () => {
  it('by an exception stops all other shards and reports its cause', async () => {
    // On a busy machine the crash may come before the start of the other shard is over: it fails the start then.
    const error = await crashOf(start('throw later').then((runtime) => runtime.finished));
    expect(error.shardId).toBe(1);
    expect(error.cause).toMatchObject({ name: 'TypeError', message: 'thrown later' });
    expect((error.cause as Error).stack).toContain('shard.mjs');
    expect(notes()).toContain('0 stop first registered');
  });

  it('by an unhandled rejection counts as one', async () => {
    const error = await crashOf(start('unhandled rejection').then((runtime) => runtime.finished));
    expect(error.cause).toMatchObject({ message: 'nobody looked' });
  });

  it('by an exit counts as one', async () => {
    const error = await crashOf(start('exit').then((runtime) => runtime.finished));
    expect(error.message).toContain('exit code 3');
  });

  it('of the entry fails the start, with its code and causes', async () => {
    const error = await crashOf(start('reject'));
    expect(error.cause).toMatchObject({ name: 'RangeError', message: 'entry rejected', code: 'E_ENTRY' });
    expect((error.cause as Error).cause).toMatchObject({ message: 'the cause' });
  });

  it('after its own start fails the start of the others at once', async () => {
    const error = await crashOf(start('throw at once'));
    expect(error.cause).toMatchObject({ message: 'thrown at once' });
  });

  it('is left to the application on request', async () => {
    let heard: ShardCrashedError | undefined;
    const runtime = await start('exit', {
      onCrash: (error) => {
        heard = error;
      },
    });
    await expect.poll(() => heard?.shardId, { timeout: 10_000 }).toBe(1);
    expect(notes()).not.toContain('0 stop first registered');
    await runtime.stop().catch(() => {});
    expect(notes()).toContain('0 stop first registered');
  });

  it('is what an entry without a function is', async () => {
    const entry = new URL('not-an-entry.mjs', fixtures);
    const error = await crashOf(start('nothing', { entry }));
    expect(error.cause).toMatchObject({ code: 'SUNSTAR_INVALID_ENTRY' });
    await crashOf(start('nothing', { entry: new URL('missing.mjs', fixtures) }));
  });
});

describe('options', () => {
  it.each([
    [{ shards: 0 }],
    [{ shards: 1.5 }],
    [{ shards: 5000 }],
    [{ idlePollUs: -1 }],
    [{ stopTimeoutMs: 0 }],
    [{ placement: [[0]] }],
    [{ placement: [[0], [4711]] }],
    [{ placement: [[0], []] }],
    [{ mesh: { maxMessageBytes: 5 } }],
  ] as Partial<RuntimeOptions>[][])('refuses %j', async (options) => {
    await expect(start('nothing', options)).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
  });

  it.each([[{ memory: 'much' }], [{ memory: '1MiB' }], [{ memory: -1 }]])('refuses %j', async (options) => {
    await expect(start('nothing', options)).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_SIZE' });
  });
});

describe('signals', () => {
  function run(act: string): {
    child: ChildProcess;
    output: () => string;
    ready: Promise<void>;
    end: Promise<unknown>;
  } {
    const child = spawn(process.execPath, [new URL('until-signal.mjs', fixtures).pathname, journal, act]);
    let output = '';
    const ready = new Promise<void>((resolve) => {
      child.stdout.on('data', (data: Buffer) => {
        output += data.toString();
        if (output.includes('ready')) resolve();
      });
    });
    const end = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
    return { child, output: () => output, ready, end };
  }

  it.each(['SIGINT', 'SIGTERM'] as const)('%s drains and ends with 0', async (signal) => {
    const { child, output, ready, end } = run('nothing');
    await ready;
    child.kill(signal);
    expect(await end).toBe(0);
    expect(output()).toBe('ready\nstopped\n');
    expect(notes().filter((line) => line.endsWith('stop first registered'))).toHaveLength(2);
  });

  it('twice at once count as one, and a later one ends the process at once', async () => {
    const { child, ready, end } = run('never stops');
    await ready;
    child.kill('SIGINT');
    await expect.poll(() => notes().join(), { timeout: 10_000 }).toContain('0 stop first registered');
    child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(child.exitCode).toBe(null);
    child.kill('SIGTERM');
    expect(await end).toBe(143);
  });

  it('a crash ends the wait with an error', async () => {
    const { end } = run('throw later');
    expect(await end).toBe(1);
  });
});
