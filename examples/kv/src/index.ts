export type { ShardData } from './shard.js';
