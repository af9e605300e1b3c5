import type { Block } from './block.js';

/**
 * One link of a chain: the window `[start, end)` of a block, in offsets of its region. Every fragment holds one
 * reference to its block. Recycled through the {@link Pool}.
 */
export class Fragment {
  // Declared and not defined, as in a chain. Of a vacant fragment it is whatever it was.
  declare block: Block;
  start = 0;
  end = 0;
  /** Appends may extend `end` up to here; equal to `end` in a share or link. */
  limit = 0;
  /** What the growth rule takes for the capacity of this fragment; negative: it holds no reference. */
  capacity = 0;
  previous: Fragment | null = null;
  /** The next fragment of the chain, also behind its tail, or of the free list. */
  next: Fragment | null = null;

  constructor(block: Block) {
    this.block = block;
  }
}

/**
 * How many bytes may be appended to the fragment in place; −1 when bytes behind its end are somebody else's,
 * so that not even an append of nothing may move `writeEnd`.
 *
 * If the fragment was trimmed and nobody else refers to the block, the bytes behind its end are nobody's:
 * `writeEnd` moves back to the end and they can be written again.
 */
export function writableBytes(fragment: Fragment): number {
  const end = fragment.end;
  const block = fragment.block;
  if (block.writeEnd === end) return fragment.limit - end;
  if (block.references !== 1 || block.sealed) return -1;
  block.writeEnd = end;
  return fragment.limit - end;
}
