import { heapArena, ShardMemory } from '@sunstar/runtime';
import type { Entries, Store } from '../../src/store/index.js';

/** Memory that notices use after free. */
export function debugMemory(sizeBytes: number): ShardMemory {
  return new ShardMemory(heapArena(sizeBytes), { debug: true });
}

/** Puts byte strings into the arena for the time of one call at a time. */
export class Loader {
  readonly #memory: ShardMemory;
  readonly #offset: number;
  readonly #sizeBytes: number;
  #used = 0;

  constructor(memory: ShardMemory, sizeBytes: number) {
    this.#memory = memory;
    this.#offset = memory.allocate(sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  /** The next call starts over. */
  reset(): void {
    this.#used = 0;
  }

  /** Offset of a copy of the bytes. */
  put(bytes: Uint8Array): number {
    const offset = this.#offset + this.#used;
    this.#used += bytes.length;
    if (this.#used > this.#sizeBytes) throw new RangeError('the loader is too small');
    this.#memory.bytes.set(bytes, offset);
    return offset;
  }

  free(): void {
    this.#memory.free(this.#offset);
  }
}

export function keyOf(memory: ShardMemory, entries: Entries, entry: number): Buffer {
  const offset = entries.keyOffset(entry);
  return Buffer.from(memory.bytes.subarray(offset, offset + entries.keyLength(entry)));
}

/** The whole value, put together from its pieces. */
export function contentOf(memory: ShardMemory, entries: Entries, entry: number): Buffer {
  const pieces: Buffer[] = [];
  for (let index = 0; index < entries.pieceCount(entry); index++) {
    const offset = entries.pieceOffset(entry, index);
    pieces.push(memory.bytes.subarray(offset, offset + entries.pieceLength(entry, index)));
  }
  return Buffer.concat(pieces);
}

/** All entries that a complete scan visits, expired ones included. */
export function scanAll(store: Store): number[] {
  const found: number[] = [];
  let cursor = 0;
  do cursor = store.scan(cursor, { visit: (entry) => found.push(entry) });
  while (cursor !== 0);
  return found;
}
