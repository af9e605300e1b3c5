import { appendRange } from './append.js';
import type { Block, BlockOwner } from './block.js';
import { type Chain, following, pushBack, releaseAll, spliceBack } from './chain.js';
import { bytesOf, Region } from './region.js';

/** Appends a window of memory outside of the arena as a fragment; `owner` is told when nobody refers to it. */
export function pushForeign(
  chain: Chain,
  region: Region,
  offset: number,
  length: number,
  owner: BlockOwner,
): void {
  const { pool } = chain;
  const block: Block = pool.acquireBlock(offset, length, owner);
  block.region = region;
  block.writeEnd = offset + length;
  block.sealed = true;
  pool.pushWindow(chain, block, offset, offset + length);
}

/** Appends a byte array without a copy; `release` is called when nobody refers to it any more. */
export function wrap(
  chain: Chain,
  bytes: Uint8Array,
  release: ((bytes: Uint8Array) => void) | undefined,
): void {
  if (bytes.length === 0) {
    release?.(bytes);
    return;
  }
  const owner = {
    release(): void {
      // The release of a buffer cannot fail half-way; what the callback throws reaches the process.
      try {
        release?.(bytes);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    },
  };
  pushForeign(chain, Region.over(bytes), 0, bytes.length, owner);
}

/** Replaces every fragment outside of the arena by a copy. Throws OutOfMemoryError with the chain unchanged. */
export function localize(chain: Chain): void {
  const { pool } = chain;
  const local = pool.acquireChain();
  try {
    for (let fragment = chain.head; fragment !== null; fragment = following(chain, fragment)) {
      if (fragment.block.region === pool.region) {
        pushBack(
          local,
          pool.acquireFragment(
            fragment.block,
            fragment.start,
            fragment.end,
            fragment.limit,
            fragment.capacity,
          ),
        );
      } else {
        appendRange(local, bytesOf(fragment), fragment.start, fragment.end - fragment.start);
      }
    }
    releaseAll(chain);
    spliceBack(chain, local);
  } finally {
    releaseAll(local);
    pool.recycleChain(local);
  }
}
