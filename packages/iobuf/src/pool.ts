import type { ShardMemory } from '@sunstar/runtime';
import { Block, type BlockOwner } from './block.js';
import { Chain, dropVacant } from './chain.js';
import { invariantError } from './errors.js';
import { Fragment } from './fragment.js';
import { Region } from './region.js';

/** At most this many objects of each kind are kept for reuse; more are left to the collector. */
export const POOLED_OBJECTS_MAX = 16384;

/** The capacity of a fragment that lies in the pool. */
const RELEASED = -1;

let poolsMade = 0;

/**
 * The recycled objects of all buffers over one shard's memory: chains, fragments and blocks.
 * Appending, sharing and trimming take them from here, so they make no garbage.
 */
export class Pool {
  /** Counts from 1. */
  readonly number: number = ++poolsMade;
  readonly memory: ShardMemory;
  readonly bytes: Buffer;
  readonly view: DataView;
  /** The arena. */
  readonly region: Region;
  #blocks: Block | null = null;
  #blockCount = 0;
  #fragments: Fragment | null = null;
  /** Those in use included: counting those that lie here would cost each use of one. */
  #fragmentsMade = 0;
  #chains: Chain | null = null;
  #chainCount = 0;
  /** The chain of every handle whose content has gone; it stays empty. */
  readonly spent: Chain;

  constructor(memory: ShardMemory) {
    this.memory = memory;
    this.bytes = memory.bytes;
    this.view = memory.arena.view;
    const { arena } = memory;
    // An arena on the JavaScript heap has an invented address.
    this.region = new Region(memory.bytes, arena.view, arena.shared === null ? 0 : arena.address);
    this.spent = new Chain(this);
    this.spent.poolNumber = 0;
  }

  /** An empty chain. */
  acquireChain(): Chain {
    const chain = this.#chains;
    if (chain === null) return new Chain(this);
    this.#chains = chain.nextFree;
    this.#chainCount--;
    chain.nextFree = null;
    return chain;
  }

  /** Takes back a chain that is empty and that nobody uses any more. */
  recycleChain(chain: Chain): void {
    dropVacant(chain);
    if (this.#chainCount >= POOLED_OBJECTS_MAX) return;
    this.#chainCount++;
    chain.nextFree = this.#chains;
    this.#chains = chain;
  }

  /** An empty fragment over a fresh block. Throws OutOfMemoryError and changes nothing when there is none. */
  allocateFragment(capacity: number): Fragment {
    const offset = this.memory.allocate(capacity);
    const block = this.acquireBlock(offset, capacity, null);
    return this.acquireFragment(block, offset, offset, offset + capacity, capacity);
  }

  /** A block without references; the caller makes a fragment of it at once. */
  acquireBlock(offset: number, capacity: number, owner: BlockOwner | null): Block {
    let block = this.#blocks;
    if (block === null) {
      block = new Block(this.region);
    } else {
      this.#blocks = block.nextFree;
      this.#blockCount--;
      block.nextFree = null;
    }
    block.offset = offset;
    block.capacity = capacity;
    block.writeEnd = offset;
    block.sealed = false;
    block.owner = owner;
    return block;
  }

  /** A fragment, not yet in a chain, that adds one reference to its block. */
  acquireFragment(block: Block, start: number, end: number, limit: number, capacity: number): Fragment {
    let fragment = this.#fragments;
    if (fragment === null) {
      fragment = new Fragment(block);
      this.#fragmentsMade++;
    } else {
      this.#fragments = fragment.next;
      fragment.next = null;
      fragment.block = block;
    }
    block.references++;
    fragment.start = start;
    fragment.end = end;
    fragment.limit = limit;
    fragment.capacity = capacity;
    return fragment;
  }

  /**
   * Makes `[start, end)` of a block the tail of a chain: a fragment that appends never extend. In one piece, because
   * it is what links, shares and slices consist of: calls from one module into another cost as much as the work.
   */
  pushWindow(chain: Chain, block: Block, start: number, end: number): void {
    const { tail } = chain;
    if (tail === null) {
      this.pushFirst(chain, block, start, end);
      return;
    }
    const fragment = tail.next;
    if (fragment === null) {
      this.#pushNew(chain, block, start, end);
      return;
    }
    const length = end - start;
    // A comparison costs less than the barrier of a store, and whoever links the same things again saves it.
    if (fragment.block !== block) fragment.block = block;
    block.references++;
    fragment.start = start;
    fragment.end = end;
    fragment.limit = end;
    fragment.capacity = length;
    chain.tail = fragment;
    chain.count++;
    chain.size += length;
  }

  /** As {@link pushWindow}, when nothing is vacant. */
  #pushNew(chain: Chain, block: Block, start: number, end: number): void {
    this.#addVacant(chain, block);
    this.pushWindow(chain, block, start, end);
  }

  /** As {@link pushWindow}, of an empty chain. */
  pushFirst(chain: Chain, block: Block, start: number, end: number): void {
    const fragment = chain.vacant ?? this.#addVacant(chain, block);
    fragment.block = block;
    block.references++;
    fragment.start = start;
    fragment.end = end;
    fragment.limit = end;
    fragment.capacity = end - start;
    chain.vacant = null;
    chain.head = fragment;
    chain.tail = fragment;
    chain.count = 1;
    chain.size = end - start;
  }

  /** Gives a chain without vacant fragments one, which will be a window of `block`. */
  #addVacant(chain: Chain, block: Block): Fragment {
    const { tail } = chain;
    let fragment = this.#fragments;
    if (fragment === null) {
      fragment = new Fragment(block);
      this.#fragmentsMade++;
    } else {
      this.#fragments = fragment.next;
      fragment.next = null;
    }
    if (fragment.previous !== tail) fragment.previous = tail;
    if (tail === null) chain.vacant = fragment;
    else tail.next = fragment;
    return fragment;
  }

  /** Drops a fragment that is in no chain and, with its last reference, the block. */
  releaseFragment(fragment: Fragment): void {
    const block = fragment.block;
    if (fragment.capacity < 0 || block.references <= 0) throw invariantError('a fragment was released twice');
    block.references--;
    fragment.capacity = RELEASED;
    fragment.next = null;
    if (this.#fragmentsMade > POOLED_OBJECTS_MAX) {
      this.#fragmentsMade--;
    } else {
      fragment.next = this.#fragments;
      this.#fragments = fragment;
    }
    if (block.references === 0) this.#releaseBlock(block);
  }

  /**
   * Drops the references of `count` fragments that were a whole chain, from `first` to `last`; the fragments are
   * still the caller's. Walks from both ends: what it waits for is the load of the next fragment.
   */
  dropReferences(first: Fragment, last: Fragment, count: number): void {
    let front = first;
    let back = last;
    for (let left = count; left > 0; left -= 2) {
      const block = front.block;
      const references = block.references - 1;
      front.capacity = RELEASED;
      block.references = references;
      if (references <= 0) this.#releaseLast(block);
      if (left === 1) return;
      const other = back.block;
      const otherReferences = other.references - 1;
      back.capacity = RELEASED;
      other.references = otherReferences;
      if (otherReferences <= 0) this.#releaseLast(other);
      front = front.next as Fragment;
      back = back.previous as Fragment;
    }
  }

  /** Takes a list of fragments that hold no reference. */
  keepVacant(first: Fragment): void {
    let last = first;
    let count = 1;
    for (; last.next !== null; last = last.next) count++;
    this.keepFragments(first, last, count);
  }

  /** As {@link keepVacant}, of `count` fragments up to `last`. */
  keepFragments(first: Fragment, last: Fragment, count: number): void {
    if (this.#fragmentsMade > POOLED_OBJECTS_MAX) {
      this.#fragmentsMade -= count;
    } else {
      last.next = this.#fragments;
      this.#fragments = first;
    }
  }

  /** Makes a fragment that is in use refer to another block. */
  moveFragment(fragment: Fragment, block: Block): void {
    const old = fragment.block;
    if (old === block) return;
    block.references++;
    fragment.block = block;
    old.references--;
    if (old.references === 0) this.#releaseBlock(old);
  }

  /** The last reference to a block has gone, if not one more than there were. */
  #releaseLast(block: Block): void {
    if (block.references < 0) throw invariantError('a fragment was released twice');
    this.#releaseBlock(block);
  }

  #releaseBlock(block: Block): void {
    const offset = block.offset;
    const owner = block.owner;
    block.epoch++;
    block.owner = null;
    block.region = this.region;
    if (this.#blockCount < POOLED_OBJECTS_MAX) {
      this.#blockCount++;
      block.nextFree = this.#blocks;
      this.#blocks = block;
    }
    if (owner === null) this.memory.free(offset);
    else owner.release(offset);
  }
}

const pools = new WeakMap<ShardMemory, Pool>();
// A thread has one shard memory, so remembering the last one answers nearly every question.
let last: Pool | undefined;

/** The pool of a shard memory; made at first use, and as long-lived as the memory. */
export function poolOf(memory: ShardMemory): Pool {
  if (last !== undefined && last.memory === memory) return last;
  let pool = pools.get(memory);
  if (pool === undefined) {
    pool = new Pool(memory);
    pools.set(memory, pool);
  }
  last = pool;
  return pool;
}
