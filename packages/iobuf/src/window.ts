import { linkWindow } from './append.js';
import { type Chain, locate, popBack, popFront, touch } from './chain.js';

/** Fills the empty chain `target` with the content `[position, position + length)` of `source`, without a copy. */
export function shareInto(target: Chain, source: Chain, position: number, length: number): void {
  if (length === 0) return;
  let fragment = locate(source, position);
  let start = fragment.start + (position - source.fingerPosition);
  let left = length;
  for (;;) {
    const count = Math.min(left, fragment.end - start);
    linkWindow(target, fragment, start, start + count);
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
