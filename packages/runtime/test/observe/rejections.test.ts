import { Runtime } from '@sunstar/runtime';
import { describe, expect, it } from 'vitest';
import { serviceOf } from '../../src/observe/rejection.js';
import type { Sharded } from '../../src/smp/index.js';

const entry = new URL('../fixtures/observed-shard.mjs', import.meta.url);

describe('a rejection that nobody handles', () => {
  it('ends the shard, and names the service and the scheduling group', async () => {
    const runtime = await Runtime.start({
      entry,
      shards: 2,
      memory: '64MiB',
      log: 'silent',
      inspect: false,
      data: { act: 'forgetsAPromise', on: 1 },
    });
    await expect(runtime.finished).rejects.toMatchObject({
      code: 'SUNSTAR_SHARD_CRASHED',
      shardId: 1,
      group: 'default',
      service: 'stalling',
      cause: { message: 'nobody looked' },
      message: expect.stringContaining('in scheduling group "default", service "stalling"'),
    });
  });
});

describe('the service of an error', () => {
  class Counters {
    async increment(): Promise<void> {
      await this.#store();
    }
    async #store(): Promise<void> {
      await Promise.resolve();
      throw new Error('full');
    }
  }
  const services = [{ name: 'counters', local: new Counters() }] as unknown as readonly Sharded<object>[];

  it('is found behind awaits', async () => {
    const error = await new Counters().increment().catch((thrown: unknown) => thrown);
    expect(serviceOf(error, services)).toBe('counters');
  });

  it('is unknown for other errors, and for what is no error', () => {
    expect(serviceOf(new Error('elsewhere'), services)).toBeUndefined();
    expect(serviceOf('text', services)).toBeUndefined();
    expect(serviceOf(Object.assign(new Error('none'), { stack: undefined }), services)).toBeUndefined();
  });
});
