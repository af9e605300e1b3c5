import {
  advance,
  type Chain,
  following,
  growTail,
  popBack,
  pushBack,
  pushFront,
  releaseAll,
  spliceBack,
  spliceFront,
  touch,
} from './chain.js';
import { type Fragment, writableBytes } from './fragment.js';
import { EXACT_COPY_BYTES_MAX, FIRST_COPY_BYTES_MAX, FRAGMENT_SIZE_BYTES_MAX } from './growth.js';
import { bytesOf } from './region.js';

/** Up to this many bytes a loop beats the call of a built-in (about 15 ns). */
const LOOP_BYTES_MAX = 8;
/** Up to this many characters an ASCII loop beats the call of the native UTF-8 encoder (about 50 ns). */
const LOOP_CHARACTERS_MAX = 12;
/** No UTF-16 code unit takes more bytes than this in UTF-8. */
const UTF8_BYTES_PER_UNIT_MAX = 3;

/** Smaller remainders stay with the fragment: giving them back would cost more than they are worth. */
const SLACK_BYTES_MIN = 4096;

const encoder = new TextEncoder();

/**
 * Takes a failed append back: what was added behind `tail` (which ended at `end`) goes.
 * Then an append that runs out of memory half-way has changed nothing.
 */
function rollBack(chain: Chain, tail: Fragment | null, end: number): void {
  while (chain.tail !== null && chain.tail !== tail) popBack(chain);
  if (tail !== null && tail.end !== end) {
    chain.size -= tail.end - end;
    tail.end = end;
    tail.block.writeEnd = end;
  }
}

/** Copies `length` bytes of `data`, which are all of it, to the arena offset `to`. */
function store(bytes: Buffer, to: number, data: Uint8Array, length: number): void {
  if (length > LOOP_BYTES_MAX) {
    bytes.set(data, to);
  } else {
    for (let i = 0; i < length; i++) bytes[to + i] = data[i];
  }
}

/** Copies from `source`, which may be the same memory. */
function move(bytes: Buffer, to: number, source: Buffer, from: number, length: number): void {
  if (length <= LOOP_BYTES_MAX) {
    for (let i = 0; i < length; i++) bytes[to + i] = source[from + i];
  } else if (source === bytes) {
    bytes.copyWithin(to, from, from + length);
  } else {
    bytes.set(source.subarray(from, from + length), to);
  }
}

/** Copies `data` behind the content. */
export function appendBytes(chain: Chain, data: Uint8Array): void {
  const length = data.length;
  const tail = chain.tail;
  if (tail !== null && length <= writableBytes(tail)) {
    store(chain.bytes, tail.end, data, length);
    advance(chain, tail, length);
    return;
  }
  appendBytesGrowing(chain, data);
}

function appendBytesGrowing(chain: Chain, data: Uint8Array): void {
  const before = chain.tail;
  const beforeEnd = before === null ? 0 : before.end;
  let done = 0;
  let tail = before;
  try {
    while (done < data.length) {
      let room = tail === null ? 0 : writableBytes(tail);
      if (tail === null || room <= 0) {
        tail = growTail(chain, data.length - done);
        room = writableBytes(tail);
      }
      const count = Math.min(room, data.length - done);
      const part = count === data.length ? data : data.subarray(done, done + count);
      store(chain.bytes, tail.end, part, count);
      advance(chain, tail, count);
      done += count;
    }
  } catch (error) {
    rollBack(chain, before, beforeEnd);
    throw error;
  }
}

/** Copies `source[offset, offset + length)`, often the arena itself, behind the content. */
export function appendRange(chain: Chain, source: Buffer, offset: number, length: number): void {
  const tail = chain.tail;
  if (tail !== null && length <= writableBytes(tail)) {
    move(chain.bytes, tail.end, source, offset, length);
    advance(chain, tail, length);
    return;
  }
  appendRangeGrowing(chain, source, offset, length);
}

function appendRangeGrowing(chain: Chain, source: Buffer, offset: number, length: number): void {
  const before = chain.tail;
  const beforeEnd = before === null ? 0 : before.end;
  let done = 0;
  let tail = before;
  try {
    while (done < length) {
      let room = tail === null ? 0 : writableBytes(tail);
      if (tail === null || room <= 0) {
        tail = growTail(chain, length - done);
        room = writableBytes(tail);
      }
      const count = Math.min(room, length - done);
      move(chain.bytes, tail.end, source, offset + done, count);
      advance(chain, tail, count);
      done += count;
    }
  } catch (error) {
    rollBack(chain, before, beforeEnd);
    throw error;
  }
}

/** Encodes a string as UTF-8 behind the content; a lone surrogate becomes U+FFFD. */
export function appendString(chain: Chain, text: string): void {
  const tail = chain.tail;
  if (tail !== null) {
    const units = text.length;
    const room = writableBytes(tail);
    if (units * UTF8_BYTES_PER_UNIT_MAX <= room) {
      advance(chain, tail, encodeAt(chain.bytes, text, units, tail.end, room));
      return;
    }
    // The worst case does not fit, but the text may.
    if (units <= room && Buffer.byteLength(text) <= room) {
      advance(chain, tail, chain.bytes.write(text, tail.end, room, 'utf8'));
      return;
    }
  }
  appendStringGrowing(chain, text);
}

/** Encodes a text that is known to fit; returns the number of bytes. */
function encodeAt(bytes: Buffer, text: string, units: number, at: number, room: number): number {
  if (units <= LOOP_CHARACTERS_MAX) {
    let i = 0;
    for (; i < units; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) break;
      bytes[at + i] = unit;
    }
    if (i === units) return units;
  }
  return bytes.write(text, at, room, 'utf8');
}

function appendStringGrowing(chain: Chain, text: string): void {
  const before = chain.tail;
  const beforeEnd = before === null ? 0 : before.end;
  let needed = Buffer.byteLength(text);
  let rest = text;
  let tail = before;
  try {
    while (needed > 0) {
      let room = tail === null ? 0 : writableBytes(tail);
      if (tail === null || room <= 0) {
        tail = growTail(chain, needed);
        room = writableBytes(tail);
      }
      if (needed <= room) {
        advance(chain, tail, chain.bytes.write(rest, tail.end, room, 'utf8'));
        return;
      }
      const { read, written } = encoder.encodeInto(rest, chain.bytes.subarray(tail.end, tail.end + room));
      advance(chain, tail, written);
      rest = rest.slice(read);
      needed -= written;
      if (written < room) {
        // The next character lies across the border.
        const character = encoder.encode(String.fromCodePoint(rest.codePointAt(0) ?? 0));
        appendBytesGrowing(chain, character);
        rest = rest.slice(character.length === 4 ? 2 : 1);
        needed -= character.length;
        tail = chain.tail;
      }
    }
  } catch (error) {
    rollBack(chain, before, beforeEnd);
    throw error;
  }
}

/**
 * Appends the content of `other`, fragment by fragment: a fragment not larger than the capacity of the
 * last one is copied, a larger one is linked without a copy. `other` may be `chain` itself.
 */
export function appendChain(chain: Chain, other: Chain): void {
  const last = other.tail;
  if (last === null) return;
  const before = chain.tail;
  const beforeEnd = before === null ? 0 : before.end;
  // Appending may extend the last fragment when both are the same chain.
  const lastEnd = last.end;
  try {
    for (let source: Fragment | null = other.head; source !== null; source = source.next) {
      const end = source === last ? lastEnd : source.end;
      const length = end - source.start;
      if (other.pool !== chain.pool || length <= copyLimit(chain)) {
        appendRange(chain, bytesOf(source), source.start, length);
      } else {
        chain.pool.pushWindow(chain, source.block, source.start, end);
      }
      if (source === last) return;
    }
  } catch (error) {
    rollBack(chain, before, beforeEnd);
    throw error;
  }
}

/** Fragments up to this size are copied rather than linked. */
function copyLimit(chain: Chain): number {
  const capacity = chain.tail === null ? FIRST_COPY_BYTES_MAX : chain.tail.capacity;
  return Math.min(capacity, FRAGMENT_SIZE_BYTES_MAX - 1);
}

/** Links all fragments of `other` behind the content, without a copy. `other` may be `chain` itself. */
export function linkChain(chain: Chain, other: Chain): void {
  const last = other.tail;
  if (last === null) return;
  const { pool, tail } = chain;
  if (other.pool !== pool) {
    appendChain(chain, other);
    return;
  }
  if (tail !== null && tail.limit - tail.end >= SLACK_BYTES_MIN && other !== chain) giveBackSlack(chain);
  let source: Fragment = last;
  if (other.head !== null) source = other.head;
  while (source !== last) {
    pool.pushWindow(chain, source.block, source.start, source.end);
    source = source.next as Fragment;
  }
  pool.pushWindow(chain, last.block, last.start, last.end);
}

/** Moves all fragments of `other` behind the content, without a copy; `other` is empty afterwards. */
export function takeChain(chain: Chain, other: Chain): void {
  if (other === chain) return;
  if (other.pool !== chain.pool) {
    appendChain(chain, other);
    releaseAll(other);
    return;
  }
  if (other.head !== null) giveBackSlack(chain);
  spliceBack(chain, other);
}

/**
 * The tail is about to become an inner fragment: its unused capacity goes back to the allocator, which
 * shrinks blocks by halves.
 */
function giveBackSlack(chain: Chain): void {
  const tail = chain.tail;
  if (tail === null || tail.limit - tail.end < SLACK_BYTES_MIN) return;
  const block = tail.block;
  if (block.references !== 1 || block.sealed || block.owner !== null) return;
  const used = tail.end - block.offset;
  if (tail.limit !== block.offset + block.capacity || used * 2 > block.capacity) return;
  chain.pool.memory.shrink(block.offset, used);
  block.capacity = used;
  block.writeEnd = tail.end;
  tail.limit = tail.end;
  // A reservation in the capacity that has just gone is void.
  chain.reservedAt = -1;
}

/** Copies `data` in front of the content, always into new fragments. */
export function prependBytes(chain: Chain, data: Uint8Array): void {
  const front = chain.pool.acquireChain();
  try {
    for (let done = 0; done < data.length; ) {
      const count = Math.min(data.length - done, FRAGMENT_SIZE_BYTES_MAX);
      pushBack(front, chain.pool.allocateFragment(count));
      appendBytes(front, count === data.length ? data : data.subarray(done, done + count));
      done += count;
    }
    spliceFront(chain, front);
  } finally {
    releaseAll(front);
    chain.pool.recycleChain(front);
  }
}

/** Links all fragments of `other` in front of the content. `other` may be `chain` itself. */
export function prependChain(chain: Chain, other: Chain): void {
  const first = other.head;
  if (first === null) return;
  touch(chain);
  if (other.pool !== chain.pool) {
    prependCopy(chain, other);
    return;
  }
  for (let source = other.tail; source !== null; source = source.previous) {
    const { start, end } = source;
    pushFront(chain, chain.pool.acquireFragment(source.block, start, end, end, end - start));
    // What is in front of it when both are the same chain has just been added.
    if (source === first) return;
  }
}

function prependCopy(chain: Chain, other: Chain): void {
  const front = chain.pool.acquireChain();
  try {
    appendChain(front, other);
    spliceFront(chain, front);
  } finally {
    releaseAll(front);
    chain.pool.recycleChain(front);
  }
}

/**
 * Copies the whole content of `source` into the empty chain `target`: one fragment of exactly the size up
 * to 16 KiB, else fragments of 128 KiB, the last one again of exactly what is left.
 */
export function copyChain(target: Chain, source: Chain): void {
  const fragmentSize = source.size <= EXACT_COPY_BYTES_MAX ? EXACT_COPY_BYTES_MAX : FRAGMENT_SIZE_BYTES_MAX;
  let left = source.size;
  let room = 0;
  for (let from = source.head; from !== null; from = following(source, from)) {
    for (let at = from.start; at < from.end; ) {
      if (room === 0) {
        room = Math.min(left, fragmentSize);
        pushBack(target, target.pool.allocateFragment(room));
      }
      const count = Math.min(room, from.end - at);
      appendRange(target, bytesOf(from), at, count);
      at += count;
      room -= count;
      left -= count;
    }
  }
}

/**
 * The tail, with room for `sizeBytes` contiguous bytes; a new one if the present one has too little.
 * The caller writes them at once.
 */
export function contiguousTail(chain: Chain, sizeBytes: number): Fragment {
  const tail = chain.tail;
  if (tail !== null && sizeBytes <= writableBytes(tail)) return tail;
  const spare = chain.spare;
  if (spare !== null && spare.limit - spare.end < sizeBytes) {
    // Too small for this; a plain append would have used it.
    chain.spare = null;
    chain.pool.releaseFragment(spare);
    chain.reservedAt = -1;
  }
  return growTail(chain, sizeBytes);
}
