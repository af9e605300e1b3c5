import { invariantError } from './errors.js';
import type { Fragment } from './fragment.js';
import { nextCapacity } from './growth.js';
import type { Pool } from './pool.js';

/** At most this many fragments stay with a chain when its content goes. */
const VACANT_FRAGMENTS_MAX = 64;

/**
 * The content of one IOBuf: a doubly linked list of fragments, none of them empty.
 * An IOBuf is a handle on a chain; chains are recycled, handles are not, which is how use after dispose
 * is noticed.
 */
export class Chain {
  // Declared and not defined: V8 then knows the class of what a field holds, and need not look.
  declare readonly pool: Pool;
  declare readonly bytes: Buffer;
  declare readonly view: DataView;
  /** Of the pool, 0 in the spent chain: a number is compared faster than an object. */
  declare poolNumber: number;
  head: Fragment | null = null;
  /** The last fragment. Behind it come vacant ones, so whoever walks asks {@link following}. */
  tail: Fragment | null = null;
  /**
   * The first vacant fragment of an empty chain. Vacant fragments hold no reference. They stay where they were when
   * the content went, so that links which follow find them in place: that saves the stores of linking them again.
   */
  vacant: Fragment | null = null;
  /** Sum of the lengths of the fragments. */
  size = 0;
  /** Number of fragments. */
  count = 0;
  /** An empty fragment made by a reservation that did not fit into the tail. */
  spare: Fragment | null = null;
  /** Where the last reservation begins, or −1. */
  reservedAt = -1;
  reservedBytes = 0;
  /** Counts reservations, so that the holder of one notices that there was another. */
  reservations = 0;
  /** Grows whenever content moves or goes; appending leaves it. */
  epoch = 0;
  /** The fragment that was looked up last, with its index and the position of its first byte. */
  finger: Fragment | null = null;
  fingerIndex = 0;
  fingerPosition = 0;
  nextFree: Chain | null = null;

  constructor(pool: Pool) {
    this.pool = pool;
    this.bytes = pool.bytes;
    this.view = pool.view;
    this.poolNumber = pool.number;
  }
}

/** Content moved or went: positions that were found before are void. */
export function touch(chain: Chain): void {
  chain.epoch++;
  chain.finger = null;
  chain.reservedAt = -1;
}

/** The fragment behind another one, null behind the tail. */
export function following(chain: Chain, fragment: Fragment): Fragment | null {
  return fragment === chain.tail ? null : fragment.next;
}

/** The first vacant fragment, or null. */
function firstVacant(chain: Chain): Fragment | null {
  return chain.tail === null ? chain.vacant : chain.tail.next;
}

/** Links what is vacant, perhaps nothing, behind the tail, which may be new. */
function placeVacant(chain: Chain, vacant: Fragment | null): void {
  const tail = chain.tail;
  if (vacant !== null) vacant.previous = tail;
  if (tail === null) {
    chain.vacant = vacant;
  } else {
    chain.vacant = null;
    tail.next = vacant;
  }
}

/** Gives vacant fragments back to the pool. */
export function dropVacant(chain: Chain): void {
  const vacant = firstVacant(chain);
  if (vacant === null) return;
  placeVacant(chain, null);
  chain.pool.keepVacant(vacant);
}

/** Links a fragment behind the tail. It may be empty only if the caller fills it at once. */
export function pushBack(chain: Chain, fragment: Fragment): void {
  const tail = chain.tail;
  const vacant = firstVacant(chain);
  fragment.previous = tail;
  if (tail === null) chain.head = fragment;
  else tail.next = fragment;
  chain.tail = fragment;
  chain.count++;
  chain.size += fragment.end - fragment.start;
  if (vacant !== null) placeVacant(chain, vacant);
}

/** Links a fragment in front of the head. The caller has called {@link touch}. */
export function pushFront(chain: Chain, fragment: Fragment): void {
  const head = chain.head;
  if (head === null) {
    pushBack(chain, fragment);
    return;
  }
  fragment.previous = null;
  fragment.next = head;
  head.previous = fragment;
  chain.head = fragment;
  chain.count++;
  chain.size += fragment.end - fragment.start;
}

/** Unlinks the first fragment, of which the caller gets the reference. */
export function shiftFront(chain: Chain): Fragment {
  const fragment = chain.head;
  if (fragment === null) throw invariantError('shiftFront of an empty chain');
  const next = fragment.next;
  fragment.next = null;
  chain.count--;
  chain.size -= fragment.end - fragment.start;
  if (fragment === chain.tail) {
    chain.head = null;
    chain.tail = null;
    placeVacant(chain, next);
  } else if (next !== null) {
    chain.head = next;
    next.previous = null;
  }
  return fragment;
}

/** Unlinks and releases the first fragment. */
export function popFront(chain: Chain): void {
  chain.pool.releaseFragment(shiftFront(chain));
}

/** Unlinks and releases the last fragment. */
export function popBack(chain: Chain): void {
  const fragment = chain.tail;
  if (fragment === null) throw invariantError('popBack of an empty chain');
  const { previous, next } = fragment;
  chain.tail = previous;
  if (previous === null) chain.head = null;
  placeVacant(chain, next);
  chain.count--;
  chain.size -= fragment.end - fragment.start;
  chain.pool.releaseFragment(fragment);
}

/** Releases everything, the spare fragment included. Fragments stay as vacant ones, if they are few. */
export function releaseAll(chain: Chain): void {
  touch(chain);
  const { head, tail, count } = chain;
  if (head !== null && tail !== null) {
    const vacant = tail.next;
    tail.next = null;
    // First the chain, then the owners: what they run sees a chain in order, and may add to it.
    chain.head = null;
    chain.tail = null;
    chain.size = 0;
    chain.count = 0;
    placeVacant(chain, vacant);
    chain.pool.dropReferences(head, tail, count);
    if (count <= VACANT_FRAGMENTS_MAX && chain.tail === null && chain.vacant === null) chain.vacant = head;
    else chain.pool.keepFragments(head, tail, count);
  }
  if (chain.spare !== null) dropSpare(chain);
}

/** Releases the fragment of an unused reservation. */
export function dropSpare(chain: Chain): void {
  const spare = chain.spare;
  if (spare === null) return;
  chain.spare = null;
  chain.pool.releaseFragment(spare);
}

/** Moves all fragments of `other` behind the tail of `chain`; `other` is empty afterwards. */
export function spliceBack(chain: Chain, other: Chain): void {
  const first = other.head;
  if (first === null) return;
  dropVacant(chain);
  const tail = chain.tail;
  first.previous = tail;
  if (tail === null) chain.head = first;
  else tail.next = first;
  chain.tail = other.tail;
  chain.size += other.size;
  chain.count += other.count;
  forgetAll(other);
}

/** Moves all fragments of `other` in front of the head of `chain`; `other` is empty afterwards. */
export function spliceFront(chain: Chain, other: Chain): void {
  const head = chain.head;
  if (head === null) {
    spliceBack(chain, other);
    touch(chain);
    return;
  }
  dropVacant(other);
  const end = other.tail;
  if (end === null) return;
  end.next = head;
  head.previous = end;
  chain.head = other.head;
  chain.size += other.size;
  chain.count += other.count;
  touch(chain);
  forgetAll(other);
}

function forgetAll(chain: Chain): void {
  chain.head = null;
  chain.tail = null;
  chain.size = 0;
  chain.count = 0;
  touch(chain);
}

/** The capacity of the fragment that a growing buffer gets next. */
export function capacityToAdd(chain: Chain, needBytes: number): number {
  const tail = chain.tail;
  return nextCapacity(tail === null ? needBytes : Math.max(needBytes, tail.capacity));
}

/**
 * Adds an empty fragment as the tail, for `needBytes` more bytes. The caller writes at least one byte into
 * it, or takes it out again. Throws OutOfMemoryError with the chain unchanged.
 */
export function growTail(chain: Chain, needBytes: number): Fragment {
  let fragment = chain.spare;
  if (fragment === null) {
    fragment = chain.pool.allocateFragment(capacityToAdd(chain, needBytes));
  } else {
    chain.spare = null;
  }
  pushBack(chain, fragment);
  return fragment;
}

/** Makes the `count` bytes behind the tail's end part of the content. */
export function advance(chain: Chain, tail: Fragment, count: number): void {
  const end = tail.end + count;
  tail.end = end;
  tail.block.writeEnd = end;
  chain.size += count;
}

/**
 * The fragment that holds the byte at `position`, which must be below the size; its first byte is at
 * `chain.fingerPosition` afterwards. Going forwards costs nothing extra: the search starts where the last
 * one ended.
 */
export function locate(chain: Chain, position: number): Fragment {
  let fragment = chain.finger;
  let start = chain.fingerPosition;
  let index = chain.fingerIndex;
  if (fragment === null || position < start) {
    fragment = chain.head;
    start = 0;
    index = 0;
  }
  while (fragment !== null) {
    const length = fragment.end - fragment.start;
    if (position < start + length) {
      chain.finger = fragment;
      chain.fingerPosition = start;
      chain.fingerIndex = index;
      return fragment;
    }
    start += length;
    index++;
    fragment = fragment.next;
  }
  throw invariantError(`no fragment at position ${position} of ${chain.size}`);
}

/** The fragment number `index`, which must be below the count. Ascending access costs O(1) a call. */
export function fragmentAt(chain: Chain, index: number): Fragment {
  let fragment = chain.finger;
  let start = chain.fingerPosition;
  let at = chain.fingerIndex;
  if (fragment === null || index < at) {
    fragment = chain.head;
    start = 0;
    at = 0;
  }
  while (fragment !== null) {
    if (at === index) {
      chain.finger = fragment;
      chain.fingerPosition = start;
      chain.fingerIndex = index;
      return fragment;
    }
    start += fragment.end - fragment.start;
    at++;
    fragment = fragment.next;
  }
  throw invariantError(`no fragment number ${index} of ${chain.count}`);
}

/** Throws if the chain contradicts itself. */
export function checkChain(chain: Chain): void {
  let size = 0;
  let count = 0;
  let previous: Fragment | null = null;
  for (let fragment = chain.head; fragment !== null; fragment = following(chain, fragment)) {
    checkFragment(fragment);
    if (fragment.start === fragment.end) throw invariantError('an empty fragment in the chain');
    if (fragment.previous !== previous) throw invariantError('broken back link');
    if (chain.finger === fragment && (chain.fingerPosition !== size || chain.fingerIndex !== count)) {
      throw invariantError('the finger points elsewhere');
    }
    size += fragment.end - fragment.start;
    count++;
    previous = fragment;
  }
  if (chain.tail !== previous) throw invariantError('the tail is not the last fragment');
  checkVacant(chain);
  if (chain.size !== size) throw invariantError(`size ${chain.size}, but the fragments hold ${size}`);
  if (chain.count !== count) throw invariantError(`count ${chain.count}, but there are ${count} fragments`);
  if (chain.spare !== null) {
    checkFragment(chain.spare);
    if (chain.spare.start !== chain.spare.end) throw invariantError('the spare fragment has content');
  }
}

function checkVacant(chain: Chain): void {
  if (chain.tail !== null && chain.vacant !== null) throw invariantError('vacant fragments in two places');
  let previous = chain.tail;
  let count = 0;
  for (let fragment = firstVacant(chain); fragment !== null; fragment = fragment.next) {
    if (fragment.capacity >= 0) throw invariantError('a vacant fragment holds a reference');
    if (fragment.previous !== previous) throw invariantError('broken back link of a vacant fragment');
    previous = fragment;
    count++;
  }
  if (count > VACANT_FRAGMENTS_MAX) throw invariantError(`${count} vacant fragments`);
}

function checkFragment(fragment: Fragment): void {
  const { block, start, end, limit } = fragment;
  if (block.references < 1 || fragment.capacity < 0) throw invariantError('a fragment of a released block');
  if (!(block.offset <= start && start <= end && end <= limit && limit <= block.offset + block.capacity)) {
    throw invariantError(`fragment ${start}..${end} (limit ${limit}) leaves its block`);
  }
  if (end > block.writeEnd) throw invariantError('a fragment sees bytes that were never written');
}
