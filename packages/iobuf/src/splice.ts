import { type Chain, dropVacant, locate, pushBack, shiftFront, touch } from './chain.js';
import type { Fragment } from './fragment.js';

/**
 * Makes a fragment begin at `position`, 0 to the size, by cutting the one that lies across it in two windows
 * of the same block. Returns it, or null at the end.
 */
function cut(chain: Chain, position: number): Fragment | null {
  if (position === chain.size) return null;
  const first = locate(chain, position);
  const at = first.start + (position - chain.fingerPosition);
  if (at === first.start) return first;
  // The second window ends where the first one did, so it alone may be extended by an append.
  const second = chain.pool.acquireFragment(first.block, at, first.end, first.limit, first.capacity);
  first.end = at;
  first.limit = at;
  first.capacity = at - first.start;
  const next = first.next;
  second.previous = first;
  second.next = next;
  first.next = second;
  if (next !== null) next.previous = second;
  if (first === chain.tail) chain.tail = second;
  chain.count++;
  return second;
}

/**
 * Replaces the content `[position, position + length)` by the fragments of `inserted`, and moves what was
 * there behind the content of `removed`. Copies no byte; cannot fail half-way.
 */
export function splice(
  chain: Chain,
  position: number,
  length: number,
  inserted: Chain | null,
  removed: Chain,
): void {
  dropVacant(chain);
  if (inserted !== null) dropVacant(inserted);
  cut(chain, position);
  const end = cut(chain, position + length);
  // Looked up again: the second cut may have split the fragment that the first one made.
  let fragment = length === 0 ? end : locate(chain, position);
  touch(chain);
  let previous = fragment === null ? chain.tail : fragment.previous;
  while (fragment !== end && fragment !== null) {
    const next: Fragment | null = fragment.next;
    chain.count--;
    chain.size -= fragment.end - fragment.start;
    fragment.next = null;
    pushBack(removed, fragment);
    fragment = next;
  }
  if (inserted !== null && inserted.head !== null) {
    join(chain, previous, inserted.head);
    previous = inserted.tail;
    chain.size += inserted.size;
    chain.count += inserted.count;
    inserted.head = null;
    inserted.tail = null;
    inserted.size = 0;
    inserted.count = 0;
    touch(inserted);
  }
  if (end !== null) {
    join(chain, previous, end);
  } else {
    chain.tail = previous;
    if (previous === null) chain.head = null;
    else previous.next = null;
  }
}

function join(chain: Chain, previous: Fragment | null, next: Fragment): void {
  next.previous = previous;
  if (previous === null) chain.head = next;
  else previous.next = next;
}

/** Moves the first `length` bytes, of which there must be so many, behind the content of `target`. */
export function takeFront(chain: Chain, length: number, target: Chain): void {
  touch(chain);
  let left = length;
  while (left > 0 && chain.head !== null) {
    const head = chain.head;
    const count = head.end - head.start;
    if (left < count) {
      const end = head.start + left;
      pushBack(target, chain.pool.acquireFragment(head.block, head.start, end, end, left));
      head.start = end;
      chain.size -= left;
      return;
    }
    pushBack(target, shiftFront(chain));
    left -= count;
  }
}
