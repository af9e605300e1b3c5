export { execute, executeForShard } from './execute.js';
export { ownerOf, route, SEVERAL_SHARDS, type ShardRequest, type Spread, spread } from './plan.js';
