import type { BlockStore } from './block-store.js';
import { invariant } from './invariant.js';
import type { LiveMap } from './live-map.js';

const NONE = -1;

// Local on purpose, see shard-memory.ts.
const PAGE_SHIFT = 9;

/**
 * The block that was allocated last from a magazine. Buffers are mostly allocated and freed in turns: the one that
 * comes back is then the one that went out, and a flag says which of the two was last. Everything else is left as
 * it is: the block stays in the live map while it is free here, no magazine has it, and no word is written twice in
 * a row, the latency of which is most of what an allocation costs.
 *
 * So whoever asks for live blocks, cached blocks, or free memory calls {@link settle} first.
 */
export class SpareBlock {
  /** The block's granule, −1 when there is none. */
  granule: number = NONE;
  /** The request that the block serves when it is free. */
  sizeBytes = 0;
  isFree = false;
  readonly #live: LiveMap;
  readonly #blocks: BlockStore;

  /** @param live - The live map that blocks are in that pass here. */
  constructor(live: LiveMap, blocks: BlockStore) {
    this.#live = live;
    this.#blocks = blocks;
  }

  /** Remembers another block, which is given out now and is in the live map. */
  watch(granule: number, sizeBytes: number): void {
    if (this.isFree) this.settle();
    this.granule = granule;
    this.sizeBytes = sizeBytes;
  }

  /** Forgets the block; if it is free, it goes where free blocks go. */
  settle(): void {
    const { granule } = this;
    this.granule = NONE;
    if (!this.isFree) return;
    this.isFree = false;
    this.#live.delete(granule);
    const blocks = this.#blocks;
    blocks.put(blocks.classOfPage[granule >>> PAGE_SHIFT], granule, true);
  }

  invariants(): void {
    invariant(this.granule === NONE || this.#live.has(this.granule), 'the spare block is in no live map');
    invariant(this.granule !== NONE || !this.isFree, 'no block is spare');
  }
}
