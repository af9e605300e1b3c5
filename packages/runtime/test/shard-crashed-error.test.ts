import { describe, expect, it } from 'vitest';
import { ShardCrashedError } from '../src/shard-crashed-error.ts';
import { shards } from './smp/shards.ts';

class Reporter {
  report(): never {
    throw new ShardCrashedError(3, new RangeError('too far'), { group: 'ingest', service: 'parser' });
  }
}

describe('ShardCrashedError', () => {
  it('reaches another shard as what it is', async () => {
    const all = shards();
    const services = all.until(Promise.all(all.meshes.map((mesh) => mesh.sharded('reporter', Reporter))));
    const [reporter] = await services;
    const error: unknown = await all.until(
      reporter
        .on(1)
        .report()
        .catch((thrown: unknown) => thrown),
    );
    expect(error).toBeInstanceOf(ShardCrashedError);
    expect(error).toMatchObject({
      code: 'SUNSTAR_SHARD_CRASHED',
      shardId: 3,
      group: 'ingest',
      service: 'parser',
      cause: expect.any(RangeError),
    });
    await all.settle();
    all.check();
  });
});
