import { advance, type Chain, capacityToAdd, dropSpare, pushBack } from './chain.js';
import { notReservedError } from './errors.js';
import { writableBytes } from './fragment.js';

/** Finds `sizeBytes` contiguous writable bytes behind the content; returns their arena offset. */
export function reserve(chain: Chain, sizeBytes: number): number {
  const tail = chain.tail;
  let at: number;
  if (tail !== null && sizeBytes <= writableBytes(tail)) {
    at = tail.end;
  } else {
    let spare = chain.spare;
    if (spare === null || spare.limit - spare.end < sizeBytes) {
      // Not linked before the commit: a chain holds no empty fragment.
      const larger = chain.pool.allocateFragment(capacityToAdd(chain, sizeBytes));
      dropSpare(chain);
      chain.spare = larger;
      spare = larger;
    }
    at = spare.end;
  }
  chain.reservedAt = at;
  chain.reservedBytes = sizeBytes;
  chain.reservations++;
  return at;
}

/** Makes the first `sizeBytes` bytes of the last reservation part of the content. */
export function commit(chain: Chain, sizeBytes: number): void {
  const at = chain.reservedAt;
  if (at < 0 || sizeBytes > chain.reservedBytes) throw notReservedError(sizeBytes);
  const tail = chain.tail;
  const spare = chain.spare;
  if (tail !== null && tail.end === at && sizeBytes <= writableBytes(tail)) {
    advance(chain, tail, sizeBytes);
  } else if (spare !== null && spare.end === at) {
    if (sizeBytes > 0) {
      chain.spare = null;
      pushBack(chain, spare);
      advance(chain, spare, sizeBytes);
    }
  } else {
    throw notReservedError(sizeBytes);
  }
  chain.reservedAt = -1;
}

/** Whether reservation number `number`, made at `at`, can still be committed: nothing was appended since. */
export function isReserved(chain: Chain, number: number, at: number): boolean {
  if (chain.reservations !== number || chain.reservedAt !== at) return false;
  const { tail, spare } = chain;
  return (tail !== null && tail.end === at) || (spare !== null && spare.end === at);
}
