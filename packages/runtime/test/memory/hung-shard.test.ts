import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { createArena, createControlBlock, LentBlock, Mesh, ShardMemory } from '@sunstar/runtime';
import { expect, it } from 'vitest';

const BLOCKS = 240;

/** What the service of hung-shard.mjs does; shard 0 has one, too. */
class Keeper {
  keep(block: LentBlock): number {
    block.free();
    return -1;
  }
  free(_count: number): void {}
  hang(_count: number): void {}
}

it('has its blocks taken back once each when its thread hangs and is terminated', async () => {
  const control = createControlBlock(2);
  const arenas = [createArena(4 * 1024 * 1024), createArena(4 * 1024 * 1024)];
  const memory = new ShardMemory(arenas[0]);
  const mesh = new Mesh({ shardId: 0, control, memory, peerArenas: arenas, wake: () => undefined });
  const hung = new Int32Array(new SharedArrayBuffer(4));
  const workerData = { control, arenas: arenas.map((arena) => arena.shared), hung };
  const worker = new Worker(new URL('./hung-shard.mjs', import.meta.url), { workerData });
  let isPolling = true;
  const turn = (): void => {
    if (!isPolling) return;
    mesh.poll();
    setImmediate(turn);
  };
  turn();
  try {
    const keepers = await mesh.sharded('keeper', Keeper);
    const bytes = await Promise.all(
      Array.from({ length: BLOCKS }, (_, index) => {
        const block = new LentBlock(memory, memory.allocate(1 + ((index * 977) % 9000)));
        memory.bytes[block.offset] = index;
        return keepers.on(1).keep(block);
      }),
    );
    expect(bytes).toEqual(Array.from({ length: BLOCKS }, (_, index) => index));
    expect(memory.stats().lentBlocks).toBe(BLOCKS);

    // Some are home, some on their way and unread, some freed and not sent, some never freed.
    await keepers.on(1).free(50);
    while (memory.stats().lentBlocks > BLOCKS - 50) await new Promise((resolve) => setImmediate(resolve));
    isPolling = false;
    await new Promise((resolve) => setImmediate(resolve));
    keepers.notify(1).free(60);
    keepers.notify(1).hang(70);
    mesh.poll();
    while (Atomics.load(hung, 0) === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(memory.stats().lentBlocks).toBe(BLOCKS - 50);

    const exit = once(worker, 'exit');
    await worker.terminate();
    await exit;
    mesh.peerGone(1, new Error('terminated'));
    mesh.poll();
    expect(memory.stats()).toMatchObject({ lentBlocks: 0, foreignFrees: BLOCKS });
    mesh.invariants();
    memory.trimCaches();
    memory.invariants();
    const { freeBytes, totalBytes, liveBlocks } = memory.stats();
    expect({ freeBytes, liveBlocks }).toEqual({ freeBytes: totalBytes, liveBlocks: 0 });
  } finally {
    isPolling = false;
    await worker.terminate();
  }
});
