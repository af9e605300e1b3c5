import { type Arena, type Lender, type Parcel, registerTransfer } from '@sunstar/runtime';
import { linkChain } from './append.js';
import type { BlockOwner } from './block.js';
import { type Chain, following, releaseAll } from './chain.js';
import { pushForeign } from './foreign.js';
import { IOBuf } from './iobuf.js';
import { Region } from './region.js';

/** Each arena of another shard, as a region. */
const regions = new WeakMap<Arena, Region>();

function regionOfArena(arena: Arena): Region {
  let region = regions.get(arena);
  if (region === undefined) {
    // An arena on the JavaScript heap has an invented address.
    region = new Region(arena.bytes, arena.view, arena.shared === null ? 0 : arena.address);
    regions.set(arena, region);
  }
  return region;
}

/** The fragments of a buffer on their way to another shard and there: offset and length of each. */
class IOBufParcel implements Parcel {
  readonly numbers: readonly number[];
  readonly #buffer: IOBuf;
  readonly #pinned: Chain;

  constructor(buffer: IOBuf, chain: Chain) {
    const pinned = chain.pool.acquireChain();
    linkChain(pinned, chain);
    const numbers: number[] = [];
    for (let fragment = pinned.head; fragment !== null; fragment = following(pinned, fragment)) {
      numbers.push(fragment.start, fragment.end - fragment.start);
    }
    this.numbers = numbers;
    this.#buffer = buffer;
    this.#pinned = pinned;
  }

  sent(): void {
    this.#buffer.endAsMoved();
  }

  release(): void {
    releaseAll(this.#pinned);
    this.#pinned.pool.recycleChain(this.#pinned);
  }
}

/** Gives a parcel back with the last of its fragments. */
class ParcelOwner implements BlockOwner {
  readonly #lender: Lender;
  readonly #token: number;
  #blocks: number;

  constructor(lender: Lender, token: number, blocks: number) {
    this.#lender = lender;
    this.#token = token;
    this.#blocks = blocks;
  }

  release(): void {
    this.#blocks--;
    if (this.#blocks === 0) this.#lender.giveBack(this.#token);
  }
}

/*
 * An IOBuf that is an argument or a result of a cross-shard call moves: its fragments stay in the arena of the
 * shard they are in, and the other shard reads them there. Its former handle is spent, as after `move()`.
 */
registerTransfer<IOBuf>({
  name: 'IOBuf',
  valueClass: IOBuf,
  pack(buffer) {
    // What lies elsewhere (wrapped, or of a third shard) the peer cannot see.
    return new IOBufParcel(buffer, buffer.localize().contentChain());
  },
  receive(numbers, token, lender) {
    const buffer = new IOBuf(lender.memory);
    const count = numbers.length / 2;
    if (count === 0) {
      lender.giveBack(token);
      return buffer;
    }
    const region = regionOfArena(lender.arena);
    const owner = new ParcelOwner(lender, token, count);
    for (let i = 0; i < count; i++) {
      pushForeign(buffer.contentChain(), region, numbers[2 * i], numbers[2 * i + 1], owner);
    }
    return buffer;
  },
});
