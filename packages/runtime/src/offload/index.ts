export type { OffloadOptions } from './client.js';
export { type FunctionName, type OffloadModule, offload, offloadModule } from './offload.js';
export type { OffloadLimit, OffloadPoolOptions } from './options.js';
export { offloadMemory } from './thread-memory.js';
