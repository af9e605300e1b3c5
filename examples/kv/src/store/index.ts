export { CHUNK_BYTES, Entries, KEY_BYTES_MAX, NEVER, VALUE_BYTES_MAX } from './entries.js';
export type { EntryVisitor } from './hash-table.js';
export { type Journal, NO_JOURNAL } from './journal.js';
export type { StoreOptions, StoreStats } from './options.js';
export { Store } from './store.js';
export { NONE, type StoreArena } from './store-memory.js';
