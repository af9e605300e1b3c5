import type { Region } from './region.js';

/**
 * Takes a block of memory back when the last fragment that refers to it has gone.
 *
 * Implemented by whoever lends memory to buffers, for example the pool of a socket's receive buffers.
 * Called synchronously on the shard that owns the memory, exactly once for each
 * {@link IOBuf.adopt}. It must not throw.
 */
export interface BlockOwner {
  /**
   * Takes the block back.
   *
   * @param offset - The block's offset in the arena, as given to `adopt`.
   */
  release(offset: number): void;
}

/**
 * One reference-counted piece of memory, recycled through the {@link Pool}.
 *
 * Bytes in front of `writeEnd` are taken: somebody may see them, so they are never written again by an
 * append. Bytes behind it are free, and belong to whichever fragment ends exactly at `writeEnd`. That one
 * rule is what keeps an append from changing bytes that a share sees.
 */
export class Block {
  /** The memory it lies in: the arena, unless it was wrapped or came from another shard. */
  region: Region;
  /** Offset of the first byte in the region. */
  offset = 0;
  capacity = 0;
  /** Offset behind the last byte that was ever given to a fragment. */
  writeEnd = 0;
  /** Fragments that refer to this block. 0 only while the block lies in the pool. */
  references = 0;
  /** Never move `writeEnd` back: the memory is lent, or a placeholder still points into it. */
  sealed = false;
  /** Who gets the memory back; null: the shard's allocator. */
  owner: BlockOwner | null = null;
  /** Grows with every release, so that a placeholder notices that its block has gone. */
  epoch = 0;
  nextFree: Block | null = null;

  constructor(region: Region) {
    this.region = region;
  }
}
