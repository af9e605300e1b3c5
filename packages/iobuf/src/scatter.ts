import { type Chain, following, locate } from './chain.js';
import type { Fragment } from './fragment.js';
import { regionOf } from './region.js';

/** The kernel takes no longer scatter list (`IOV_MAX`). */
export const IOVECS_MAX = 1024;
/** The size of the kernel's `struct iovec`: a 64-bit address and a 64-bit length. */
export const IOVEC_SIZE_BYTES = 16;

/** 2^32: what the upper word of a 64-bit number counts. */
const WORD = 0x1_0000_0000;

function setWord64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / WORD), true);
}

/**
 * Writes a `struct iovec` for each fragment of the content behind its first `skipBytes` bytes, at most
 * `maxCount`, to the arena offset `tableOffset`; returns how many.
 */
export function writeIovecs(chain: Chain, tableOffset: number, maxCount: number, skipBytes: number): number {
  if (skipBytes === chain.size) return 0;
  const view = chain.view;
  let fragment: Fragment | null = locate(chain, skipBytes);
  let start = fragment.start + (skipBytes - chain.fingerPosition);
  let at = tableOffset;
  let count = 0;
  while (fragment !== null && count < maxCount) {
    setWord64(view, at, regionOf(fragment).address + start);
    setWord64(view, at + 8, fragment.end - start);
    at += IOVEC_SIZE_BYTES;
    count++;
    fragment = following(chain, fragment);
    if (fragment !== null) start = fragment.start;
  }
  return count;
}
