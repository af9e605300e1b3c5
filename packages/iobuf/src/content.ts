import { isUtf8 } from 'node:buffer';
import { native } from '@sunstar/native';
import { type Chain, locate } from './chain.js';
import { invalidArgumentError, invalidUtf8Error, invariantError } from './errors.js';
import type { Fragment } from './fragment.js';
import { checkU8 } from './numbers.js';
import { bytesOf, regionOf } from './region.js';

/** Up to this many bytes a loop beats `Buffer.compare` (about 75 ns a call). */
const COMPARE_LOOP_BYTES_MAX = 32;
/** So many bytes of a fragment are searched by a loop before a view of the rest is made (about 55 ns). */
const SEARCH_LOOP_BYTES_MAX = 32;
/** So many pieces are copied with one call. */
const PIECES_MAX = 64;
/** Address and length of each. */
const pieces = new Float64Array(2 * PIECES_MAX);

/** The byte at `position`, which must be below the size. */
export function byteAt(chain: Chain, position: number): number {
  const fragment = locate(chain, position);
  return bytesOf(fragment)[fragment.start + (position - chain.fingerPosition)];
}

/** −1, 0 or 1 as `[aStart, aStart + length)` sorts before, like or behind `[bStart, bStart + length)`. */
function compareRanges(a: Buffer, aStart: number, b: Uint8Array, bStart: number, length: number): number {
  if (length > COMPARE_LOOP_BYTES_MAX) return a.compare(b, bStart, bStart + length, aStart, aStart + length);
  for (let i = 0; i < length; i++) {
    const difference = a[aStart + i] - b[bStart + i];
    if (difference !== 0) return difference < 0 ? -1 : 1;
  }
  return 0;
}

function sign(difference: number): number {
  if (difference === 0) return 0;
  return difference < 0 ? -1 : 1;
}

/** Lexicographic order of two contents: −1, 0 or 1. */
export function compareChains(a: Chain, b: Chain): number {
  if (a === b) return 0;
  let left = a.head;
  let right = b.head;
  let leftAt = left === null ? 0 : left.start;
  let rightAt = right === null ? 0 : right.start;
  while (left !== null && right !== null) {
    const count = Math.min(left.end - leftAt, right.end - rightAt);
    const order = compareRanges(bytesOf(left), leftAt, bytesOf(right), rightAt, count);
    if (order !== 0) return order;
    leftAt += count;
    rightAt += count;
    if (leftAt === left.end) {
      left = left.next;
      leftAt = left === null ? 0 : left.start;
    }
    if (rightAt === right.end) {
      right = right.next;
      rightAt = right === null ? 0 : right.start;
    }
  }
  return sign(a.size - b.size);
}

/** Whether two contents are the same. */
export function equalChains(a: Chain, b: Chain): boolean {
  return a.size === b.size && compareChains(a, b) === 0;
}

/** Whether a content is the same as plain bytes. */
export function equalBytes(a: Chain, b: Uint8Array): boolean {
  return a.size === b.length && compareWithBytes(a, b) === 0;
}

/** Lexicographic order of a content and of plain bytes: −1, 0 or 1. */
export function compareWithBytes(a: Chain, b: Uint8Array): number {
  let done = 0;
  for (let left = a.head; left !== null && done < b.length; left = left.next) {
    const count = Math.min(left.end - left.start, b.length - done);
    const order = compareRanges(bytesOf(left), left.start, b, done, count);
    if (order !== 0) return order;
    done += count;
  }
  return sign(a.size - b.length);
}

/** The position of the first `value`, a byte or a sequence, at or behind `from`, or −1. */
export function indexOf(chain: Chain, value: number | Uint8Array, from: number): number {
  if (typeof value === 'number') {
    checkU8(value);
    return indexOfByte(chain, value, from);
  }
  if (!(value instanceof Uint8Array)) throw invalidArgumentError('value', 'a byte or a Uint8Array', value);
  return indexOfBytes(chain, value, from);
}

function indexOfByte(chain: Chain, value: number, from: number): number {
  if (from >= chain.size) return -1;
  let fragment: Fragment | null = locate(chain, from);
  let base = chain.fingerPosition;
  let start = fragment.start + (from - base);
  while (fragment !== null) {
    const found = findByte(fragment, value, start);
    if (found >= 0) return base + (found - fragment.start);
    base += fragment.end - fragment.start;
    fragment = fragment.next;
    if (fragment !== null) start = fragment.start;
  }
  return -1;
}

function findByte(fragment: Fragment, value: number, start: number): number {
  const { end } = fragment;
  const region = regionOf(fragment);
  const { bytes } = region;
  const loopEnd = Math.min(end, start + SEARCH_LOOP_BYTES_MAX);
  for (let i = start; i < loopEnd; i++) if (bytes[i] === value) return i;
  if (loopEnd === end) return -1;
  const found = native.findByte(region.address + loopEnd, end - loopEnd, value);
  return found < 0 ? -1 : loopEnd + found;
}

function indexOfBytes(chain: Chain, needle: Uint8Array, from: number): number {
  const last = chain.size - needle.length;
  if (from > last) return -1;
  if (needle.length === 0) return from;
  if (needle.length === 1) return indexOfByte(chain, needle[0], from);
  let fragment: Fragment | null = locate(chain, from);
  let base = chain.fingerPosition;
  let start = fragment.start + (from - base);
  while (fragment !== null) {
    const { end } = fragment;
    if (end - start >= needle.length) {
      const region = regionOf(fragment);
      const found = native.findBytes(region.address + start, end - start, needle);
      if (found >= 0) return base + (start + found - fragment.start);
      start = end - needle.length + 1;
    }
    // What begins here and goes on in the next fragment.
    for (; start < end; start++) {
      const at = base + (start - fragment.start);
      if (at > last) return -1;
      if (bytesOf(fragment)[start] === needle[0] && matchesAt(fragment, start, needle)) return at;
    }
    base += end - fragment.start;
    fragment = fragment.next;
    if (fragment !== null) start = fragment.start;
  }
  return -1;
}

/** Whether `needle` begins at `start` of a fragment. */
function matchesAt(first: Fragment, start: number, needle: Uint8Array): boolean {
  let at = start;
  let done = 0;
  for (let fragment: Fragment | null = first; fragment !== null; fragment = fragment.next) {
    if (fragment !== first) at = fragment.start;
    const count = Math.min(fragment.end - at, needle.length - done);
    if (compareRanges(bytesOf(fragment), at, needle, done, count) !== 0) return false;
    done += count;
    if (done === needle.length) return true;
  }
  return false;
}

/** Copies the content `[start, end)` to `target[targetStart…]`, which must have room for it. */
export function copyToBytes(
  chain: Chain,
  target: Uint8Array,
  targetStart: number,
  start: number,
  end: number,
): void {
  if (start === end) return;
  let fragment: Fragment | null = locate(chain, start);
  let at = fragment.start + (start - chain.fingerPosition);
  let to = targetStart;
  let left = end - start;
  if (left <= fragment.end - at) {
    target.set(bytesOf(fragment).subarray(at, at + left), to);
    return;
  }
  while (fragment !== null && left > 0) {
    // A call of the addon for many pieces, where a view of each would cost more.
    let count = 0;
    let sum = 0;
    while (fragment !== null && sum < left && count < PIECES_MAX) {
      const length = Math.min(left - sum, fragment.end - at);
      pieces[2 * count] = regionOf(fragment).address + at;
      pieces[2 * count + 1] = length;
      count++;
      sum += length;
      fragment = fragment.next;
      if (fragment !== null) at = fragment.start;
    }
    if (native.gather(pieces, count, target, to) !== sum) throw invariantError('the target is too small');
    to += sum;
    left -= sum;
  }
}

/** Copies the content to the arena offset `offset`. */
export function copyToArena(chain: Chain, offset: number): void {
  let to = offset;
  for (let fragment = chain.head; fragment !== null; fragment = fragment.next) {
    const bytes = bytesOf(fragment);
    if (bytes === chain.bytes) bytes.copyWithin(to, fragment.start, fragment.end);
    else chain.bytes.set(bytes.subarray(fragment.start, fragment.end), to);
    to += fragment.end - fragment.start;
  }
}

/** What bytes can be read as: everything that a Buffer knows, and UTF-8 that must be valid. */
export type TextEncoding = BufferEncoding | 'utf8-strict';

/** Decodes the content `[start, end)`; characters may lie across fragments. */
export function decode(chain: Chain, encoding: TextEncoding, start: number, end: number): string {
  if (start === end) return '';
  const fragment = locate(chain, start);
  const at = fragment.start + (start - chain.fingerPosition);
  const until = at + (end - start);
  if (until <= fragment.end) return decodeBytes(bytesOf(fragment), encoding, at, until);
  const joined = Buffer.allocUnsafe(end - start);
  copyToBytes(chain, joined, 0, start, end);
  return decodeBytes(joined, encoding, 0, joined.length);
}

function decodeBytes(bytes: Buffer, encoding: TextEncoding, start: number, end: number): string {
  if (encoding !== 'utf8-strict') {
    if (!Buffer.isEncoding(encoding))
      throw invalidArgumentError('encoding', 'one that Buffer knows', encoding);
    return bytes.toString(encoding, start, end);
  }
  if (!isUtf8(bytes.subarray(start, end))) throw invalidUtf8Error();
  return bytes.toString('utf8', start, end);
}

/** The content `[start, end)` as one array: a view where it lies in one fragment, else a copy. */
export function contiguous(chain: Chain, start: number, end: number): Buffer {
  if (start === end) return Buffer.alloc(0);
  const fragment = locate(chain, start);
  const at = fragment.start + (start - chain.fingerPosition);
  if (at + (end - start) <= fragment.end) return bytesOf(fragment).subarray(at, at + (end - start));
  const joined = Buffer.allocUnsafe(end - start);
  copyToBytes(chain, joined, 0, start, end);
  return joined;
}
