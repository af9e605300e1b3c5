import { createArena, ShardMemory } from '../memory/index.js';
import { findCurrentShard } from '../shard.js';

let sizeBytes = 0;
let own: ShardMemory | undefined;

/** How much memory this thread of the pool may use. */
export function setThreadMemory(bytes: number): void {
  sizeBytes = bytes;
}

/** Memory of this thread: of its shard, if the code here has called `attach()`, else the pool thread's own. */
export function threadMemory(): ShardMemory {
  const shard = findCurrentShard();
  if (shard !== undefined) return shard.memory;
  own ??= new ShardMemory(createArena(sizeBytes));
  return own;
}

/**
 * The memory for an IOBuf that an offloaded function returns: `new IOBuf(offloadMemory())`. Inside a function that runs
 * in the offload pool its thread's memory; on a shard the shard's, so that the same function works in both places.
 *
 * @throws SunstarError SUNSTAR_INVALID_SIZE on a thread that is neither.
 */
export function offloadMemory(): ShardMemory {
  return threadMemory();
}
