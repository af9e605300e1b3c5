import { describe, expect, it } from 'vitest';
import type { SunstarError } from '../../src/errors.ts';
import { shards, startService } from './shards.ts';

/** Fails in every way. */
class Faulty {
  echo(value: unknown): unknown {
    return value;
  }
  fill(sizeBytes: number): Buffer {
    return Buffer.alloc(sizeBytes, 1);
  }
  fail(message: string): never {
    throw new RangeError(message);
  }
  odd(): unknown {
    return { nested: [() => {}] };
  }
  async failLater(): Promise<never> {
    throw Object.assign(new TypeError('later'), { detail: 5 });
  }
  throwText(): never {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- code of others does it
    throw 'only text';
  }
  throwHuge(): never {
    throw new Error('x'.repeat(100_000));
  }
  throwTrap(): never {
    throw Object.assign(new Error('m'), {
      get name(): string {
        throw new RangeError('trapped');
      },
    });
  }
  trapThen(): object {
    return {
      // biome-ignore lint/suspicious/noThenProperty: what must do no harm.
      get then(): never {
        throw new RangeError('then');
      },
    };
  }
  throwFunction(): never {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- code of others does it
    throw () => {};
  }
}

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

describe('failures of calls', () => {
  it('makes answers that throw, and answers that cannot be sent, into errors', async () => {
    const all = shards();
    const [faulty] = await startService(all, 'store', Faulty);
    const remote = faulty.on(1);
    await all.until(expect(remote.fail('boom')).rejects.toThrow(new RangeError('boom')));
    await all.until(expect(remote.failLater()).rejects.toMatchObject({ name: 'TypeError', detail: 5 }));
    await all.until(expect(remote.throwText()).rejects.toBe('only text'));
    await all.until(expect(remote.throwFunction()).rejects.toEqual(code('NOT_CLONEABLE')));
    await all.until(expect(remote.odd()).rejects.toThrow(/result\.nested\[0\] cannot go to another shard/));
    await expect(remote.echo({ on: { event: () => {} } })).rejects.toThrow(
      /arguments\[0\]\.on\.event cannot/,
    );
    await all.settle();
    all.check();
  });

  it('survives errors that are too large, or that break when they are read', async () => {
    const all = shards({ maxMessageBytes: 20_000 });
    const [faulty] = await startService(all, 'store', Faulty);
    const remote = faulty.on(1);
    await all.until(
      expect(remote.throwHuge()).rejects.toThrow(/^The call threw .*too large|could not be sent/s),
    );
    await all.until(expect(remote.throwTrap()).rejects.toBeInstanceOf(Error));
    await all.until(expect(remote.trapThen()).rejects.toThrow(new RangeError('then')));
    expect(await all.until(remote.echo(1))).toBe(1);
    await all.settle();
    all.check();
  });

  it('says who ran out of memory', async () => {
    const all = shards({ memoryBytes: 1024 * 1024 });
    const [faulty] = await startService(all, 'store', Faulty);
    const kept: number[] = [];
    for (const memory of all.memories) {
      for (let block = memory.tryAllocate(4096); block >= 0; block = memory.tryAllocate(4096))
        kept.push(block);
      for (let block = memory.tryAllocate(64); block >= 0; block = memory.tryAllocate(64)) kept.push(block);
    }
    await expect(faulty.on(1).echo('x'.repeat(5000))).rejects.toEqual(code('OUT_OF_MEMORY'));
    const outcome = all.until(faulty.on(1).fill(100_000));
    await expect(outcome).rejects.toEqual(code('OUT_OF_MEMORY'));
    await expect(outcome).rejects.toThrow(/Shard 1 had no memory for the answer of store\.fill\(\)/);
    // An error does not fit into a slot either.
    await expect(all.until(faulty.on(1).fail('m'))).rejects.toEqual(code('OUT_OF_MEMORY'));
    expect(await all.until(faulty.on(1).echo('small'))).toBe('small');
    for (const mesh of all.meshes) mesh.invariants();
  });

  it('reports what a one-way call throws as an unhandled rejection', async () => {
    const all = shards();
    const [faulty] = await startService(all, 'store', Faulty);
    const reported: unknown[] = [];
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (reason) => reported.push(reason));
    try {
      faulty.notify(1).fail('one way');
      faulty.notify(1).failLater();
      faulty.notify(0).fail('to myself');
      await all.settle();
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.removeAllListeners('unhandledRejection');
      for (const listener of listeners) process.on('unhandledRejection', listener);
    }
    expect(reported).toHaveLength(3);
    expect(reported.every((reason) => (reason as SunstarError).code === 'SUNSTAR_NOTIFY_FAILED')).toBe(true);
    expect(reported.map((reason) => ((reason as Error).cause as Error).message).sort()).toEqual([
      'later',
      'one way',
      'to myself',
    ]);
  });
});
