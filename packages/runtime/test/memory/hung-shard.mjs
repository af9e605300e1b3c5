// Shard 1 of hung-shard.test.ts: takes blocks, gives some back, and then never returns to its event loop.
import { workerData } from 'node:worker_threads';
import { Mesh, openArena, ShardMemory } from '@sunstar/runtime';

const { control, arenas, hung } = workerData;
const opened = arenas.map((arena) => openArena(arena));
const mesh = new Mesh({
  shardId: 1,
  control,
  memory: new ShardMemory(opened[1]),
  peerArenas: opened,
  wake: () => {},
});

class Keeper {
  #kept = [];
  keep(block) {
    this.#kept.push(block);
    return block.bytes[block.offset];
  }
  free(count) {
    for (const block of this.#kept.splice(0, count)) block.free();
  }
  hang(count) {
    // These frees wait for the end of the turn, which never comes.
    this.free(count);
    Atomics.store(hung, 0, 1);
    Atomics.notify(hung, 0);
    for (;;);
  }
}

function turn() {
  mesh.poll();
  setImmediate(turn);
}
turn();
await mesh.sharded('keeper', Keeper);
