import { isUtf8 } from 'node:buffer';
import { native } from '@sunstar/native';
import { type Chain, following, locate } from './chain.js';
import { invalidArgumentError, invalidUtf8Error, invariantError } from './errors.js';
import type { Fragment } from './fragment.js';
import { checkU8 } from './numbers.js';
import { bytesOf, regionOf } from './region.js';

/** Up to this many bytes a loop beats `Buffer.compare` (about 75 ns a call). */
const COMPARE_LOOP_BYTES_MAX = 32;
/** So many bytes of a fragment are searched by a loop before a view of the rest is made (about 55 ns). */
const SEARCH_LOOP_BYTES_MAX = 32;
/** So many pieces are copied or searched with one call. */
const PIECES_MAX = 64;
/** Address and length of each. */
const pieces = new Float64Array(2 * PIECES_MAX);
/** How many bytes the table describes. */
let filledBytes = 0;
const oneByte = new Uint8Array(1);

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
      left = following(a, left);
      leftAt = left === null ? 0 : left.start;
    }
    if (rightAt === right.end) {
      right = following(b, right);
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
  for (let left = a.head; left !== null && done < b.length; left = following(a, left)) {
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
  const fragment = locate(chain, from);
  const base = chain.fingerPosition;
  const start = fragment.start + (from - base);
  const bytes = bytesOf(fragment);
  const loopEnd = Math.min(fragment.end, start + SEARCH_LOOP_BYTES_MAX);
  for (let i = start; i < loopEnd; i++) if (bytes[i] === value) return base + (i - fragment.start);
  oneByte[0] = value;
  return find(chain, oneByte, base + (loopEnd - fragment.start));
}

function indexOfBytes(chain: Chain, needle: Uint8Array, from: number): number {
  if (needle.length === 1) return indexOfByte(chain, needle[0], from);
  return needle.length === 0 ? from : find(chain, needle, from);
}

/** Searches natively, table by table; a table begins again with what the last one could not decide. */
function find(chain: Chain, needle: Uint8Array, from: number): number {
  let position = from;
  while (position + needle.length <= chain.size) {
    const count = fillPieces(chain, position, chain.size - position);
    const found = native.find(pieces, count, needle);
    if (found >= 0) return position + found;
    const next = position + filledBytes - needle.length + 1;
    // A needle that outgrows a whole table is compared where it may begin.
    if (next <= position) return findLong(chain, needle, position);
    position = next;
  }
  return -1;
}

/** Finds a needle that is longer than a table of pieces. */
function findLong(chain: Chain, needle: Uint8Array, from: number): number {
  for (let at = indexOfByte(chain, needle[0], from); at >= 0; at = indexOfByte(chain, needle[0], at + 1)) {
    if (at + needle.length > chain.size) return -1;
    if (matchesAt(chain, at, needle)) return at;
  }
  return -1;
}

function matchesAt(chain: Chain, position: number, needle: Uint8Array): boolean {
  let fragment: Fragment | null = locate(chain, position);
  let at = fragment.start + (position - chain.fingerPosition);
  let done = 0;
  while (fragment !== null) {
    const count = Math.min(fragment.end - at, needle.length - done);
    if (compareRanges(bytesOf(fragment), at, needle, done, count) !== 0) return false;
    done += count;
    if (done === needle.length) return true;
    fragment = fragment.next;
    if (fragment !== null) at = fragment.start;
  }
  return false;
}

/** Describes the content from `start` on, at most `length` bytes and at most a table; returns the number of pieces. */
function fillPieces(chain: Chain, start: number, length: number): number {
  let fragment: Fragment | null = locate(chain, start);
  let at = fragment.start + (start - chain.fingerPosition);
  let count = 0;
  let sum = 0;
  while (fragment !== null && sum < length && count < PIECES_MAX) {
    const pieceBytes = Math.min(length - sum, fragment.end - at);
    pieces[2 * count] = regionOf(fragment).address + at;
    pieces[2 * count + 1] = pieceBytes;
    count++;
    sum += pieceBytes;
    fragment = fragment.next;
    if (fragment !== null) at = fragment.start;
  }
  filledBytes = sum;
  return count;
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
  const fragment = locate(chain, start);
  const at = fragment.start + (start - chain.fingerPosition);
  if (end - start <= fragment.end - at) {
    target.set(bytesOf(fragment).subarray(at, at + (end - start)), targetStart);
    return;
  }
  // A call of the addon for many pieces, where a view of each would cost more.
  for (let position = start; position < end; position += filledBytes) {
    const count = fillPieces(chain, position, end - position);
    const copied = native.gather(pieces, count, target, targetStart + (position - start));
    if (copied !== filledBytes) throw invariantError('the target is too small');
  }
}

/** Copies the content to the arena offset `offset`. */
export function copyToArena(chain: Chain, offset: number): void {
  let to = offset;
  for (let fragment = chain.head; fragment !== null; fragment = following(chain, fragment)) {
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
