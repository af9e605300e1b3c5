export { type Arena, heapArena, MAX_ARENA_BYTES, MIN_ARENA_BYTES } from './arena.js';
export type { Leak } from './memory-debug.js';
export type { MemoryStats } from './memory-stats.js';
export { type Reclaimer, ShardMemory, type ShardMemoryOptions } from './shard-memory.js';
export { createArena, openArena } from './shared-arena.js';
export { PAGE_BYTES } from './size-classes.js';
