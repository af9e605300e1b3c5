import { type Chain, locate, popBack, popFront, releaseAll, touch } from './chain.js';
import type { Fragment } from './fragment.js';

/**
 * Makes `[start, end)` of a fragment, which is not empty, the whole content of `target`. Whoever cuts one window
 * after the other into the same buffer only moves the window.
 */
export function setWindow(target: Chain, source: Fragment, start: number, end: number): void {
  const fragment = target.head;
  if (fragment === null || fragment !== target.tail || target.spare !== null) {
    releaseAll(target);
    target.pool.pushWindow(target, source.block, start, end);
    return;
  }
  touch(target);
  target.pool.moveFragment(fragment, source.block);
  fragment.start = start;
  fragment.end = end;
  fragment.limit = end;
  fragment.capacity = end - start;
  target.size = end - start;
}

/** Makes `[position, position + length)` of `source` the content of `target`, without a copy. */
export function shareInto(target: Chain, source: Chain, position: number, length: number): void {
  if (length === 0) {
    releaseAll(target);
    return;
  }
  let fragment = locate(source, position);
  let start = fragment.start + (position - source.fingerPosition);
  if (start + length <= fragment.end) {
    setWindow(target, fragment, start, start + length);
    return;
  }
  releaseAll(target);
  let left = length;
  for (;;) {
    const count = Math.min(left, fragment.end - start);
    target.pool.pushWindow(target, fragment.block, start, start + count);
    left -= count;
    if (left === 0 || fragment.next === null) return;
    fragment = fragment.next;
    start = fragment.start;
  }
}

/** Drops the first `count` bytes, which must not be more than there are. */
export function trimFront(chain: Chain, count: number): void {
  touch(chain);
  let left = count;
  while (left > 0 && chain.head !== null) {
    const head = chain.head;
    const length = head.end - head.start;
    if (left < length) {
      head.start += left;
      chain.size -= left;
      return;
    }
    popFront(chain);
    left -= length;
  }
}

/** Drops the last `count` bytes, which must not be more than there are. */
export function trimBack(chain: Chain, count: number): void {
  touch(chain);
  let left = count;
  while (left > 0 && chain.tail !== null) {
    const tail = chain.tail;
    const length = tail.end - tail.start;
    if (left < length) {
      tail.end -= left;
      chain.size -= left;
      return;
    }
    popBack(chain);
    left -= length;
  }
}
