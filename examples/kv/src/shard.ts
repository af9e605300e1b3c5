// The entry module: runs on every shard.
import type { ShardContext } from '@sunstar/runtime';
import { commitEpoch, type DirectoryPlan } from './log/data-directory.js';
import { ShardStorage } from './log/shard-storage.js';
import type { ServerOptions } from './options.js';
import { addReplayedBytes } from './progress.js';
import { KvService } from './server/kv-service.js';
import { registerMetrics } from './server/metrics.js';
import { ShardCore } from './server/shard-core.js';
import { ShardServer } from './server/shard-server.js';

/** What the main thread gives to every shard. */
export interface ShardData {
  readonly options: ServerOptions;
  readonly plan: DirectoryPlan;
  /** One 32-bit word: open connections of all shards. */
  readonly openClients: SharedArrayBuffer;
  /** See progress.ts. */
  readonly progress: SharedArrayBuffer;
  /** Where shard 0 says on which port it listens. */
  readonly port: SharedArrayBuffer;
}

export default async function main(shard: ShardContext): Promise<void> {
  const { options, plan, openClients, progress, port } = shard.data as ShardData;
  const core = new ShardCore(shard, options);
  const server = new ShardServer(core, new Int32Array(openClients));
  const service = await shard.sharded('kv', KvService, server.executor, shard.count);
  const allArrive = (step: string): Promise<void> => service.on(0).arrive(step);

  core.storage = await ShardStorage.open(
    shard,
    core.store,
    {
      plan,
      fsync: options.fsync,
      repair: options.repair,
      compactionMinBytes: options.compactionMinBytes,
      compactionFactor: options.compactionFactor,
    },
    (bytes) => addReplayedBytes(progress, shard.id, bytes),
  );
  logRecovery(core);
  shard.onStop(async () => {
    // Until every client is gone, others may have commands for this shard. One that has crashed sends none.
    await allArrive('clients gone').catch(() => {});
    await core.storage.close();
  });

  await allArrive('replayed');
  if (plan.previous !== undefined) {
    if (shard.id === 0) commitEpoch(plan);
    await allArrive('committed');
  }
  registerMetrics(shard.metrics, core.context);
  await server.open(service);
  if (shard.id === 0) Atomics.store(new Int32Array(port), 0, server.port);
  shard.onStop(() => server.close());
}

function logRecovery({ logger, storage, store }: ShardCore): void {
  const { records, droppedBytes, isClean, durationMs } = storage.recovery;
  if (records === 0 && droppedBytes === 0) return;
  const found = { keys: store.size, records, durationMs: Math.round(durationMs) };
  if (isClean) logger.info(found, 'recovered');
  else if (droppedBytes === 0) logger.warn(found, 'recovered after a crash; no bytes were dropped');
  else logger.warn({ ...found, droppedBytes }, 'recovered after a crash; an incomplete end was cut off');
}
