import { type Chain, following } from './chain.js';
import { outOfRangeError } from './errors.js';
import { regionOf } from './region.js';

// XXH64 (Yann Collet, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md) over the content as one
// stream. JavaScript has no 64-bit integers but BigInt, which allocates: every 64-bit lane is two words here,
// upper and lower, and products are put together from 16-bit pieces in doubles and 32-bit ones in integers.
const PRIME_1_HIGH = 0x9e3779b1;
const PRIME_1_LOW = 0x85ebca87;
const PRIME_2_HIGH = 0xc2b2ae3d;
const PRIME_2_LOW = 0x27d4eb4f;
const PRIME_3_HIGH = 0x165667b1;
const PRIME_3_LOW = 0x9e3779f9;
const PRIME_4_HIGH = 0x85ebca77;
const PRIME_4_LOW = 0xc2b2ae63;
const PRIME_5_HIGH = 0x27d4eb2f;
const PRIME_5_LOW = 0x165667c5;
const STRIPE_BYTES = 32;
const LANES = 4;
/** How far each lane is rotated when they are joined. */
const MERGE_BITS: readonly number[] = [1, 7, 12, 18];
const SEED_MAX: bigint = 2n ** 64n - 1n;

const stripe = new Uint8Array(STRIPE_BYTES);
const stripeView = new DataView(stripe.buffer);
/** The four lanes, each as upper and lower word. The computation never yields, so one state serves a thread. */
const lanes = new Int32Array(2 * LANES);
// The 64-bit result of the last function.
let high = 0;
let low = 0;

/** The upper word of the product of two unsigned 32-bit words. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((Math.imul(a0, b0) >>> 16) >>> 0);
  const other = a0 * b1 + (middle % 0x1_0000);
  return (a1 * b1 + Math.floor(middle / 0x1_0000) + Math.floor(other / 0x1_0000)) | 0;
}

/** high:low ← high:low × b */
function multiply(bHigh: number, bLow: number): void {
  const carry = multiplyHigh(low >>> 0, bLow);
  high = (carry + Math.imul(high, bLow) + Math.imul(low, bHigh)) | 0;
  low = Math.imul(low, bLow);
}

/** high:low ← high:low + b */
function add(bHigh: number, bLow: number): void {
  const sum = (low + bLow) | 0;
  high = (high + bHigh + (sum >>> 0 < low >>> 0 ? 1 : 0)) | 0;
  low = sum;
}

/** high:low ← high:low rotated left by 1 to 31 bits */
function rotate(bits: number): void {
  const upper = (high << bits) | (low >>> (32 - bits));
  low = (low << bits) | (high >>> (32 - bits));
  high = upper;
}

/** high:low ← round(lane, word): the lane plus the word times PRIME_2, rotated by 31, times PRIME_1 */
function round(laneHigh: number, laneLow: number, wordHigh: number, wordLow: number): void {
  high = wordHigh;
  low = wordLow;
  multiply(PRIME_2_HIGH, PRIME_2_LOW);
  add(laneHigh, laneLow);
  rotate(31);
  multiply(PRIME_1_HIGH, PRIME_1_LOW);
}

function takeStripe(view: DataView, at: number): void {
  for (let lane = 0; lane < LANES; lane++) {
    const from = at + 8 * lane;
    round(lanes[2 * lane], lanes[2 * lane + 1], view.getInt32(from + 4, true), view.getInt32(from, true));
    lanes[2 * lane] = high;
    lanes[2 * lane + 1] = low;
  }
}

function setLane(lane: number, seedHigh: number, seedLow: number): void {
  add(seedHigh, seedLow);
  lanes[2 * lane] = high;
  lanes[2 * lane + 1] = low;
}

function begin(seedHigh: number, seedLow: number): void {
  high = PRIME_1_HIGH | 0;
  low = PRIME_1_LOW | 0;
  add(PRIME_2_HIGH, PRIME_2_LOW);
  setLane(0, seedHigh, seedLow);
  high = PRIME_2_HIGH | 0;
  low = PRIME_2_LOW | 0;
  setLane(1, seedHigh, seedLow);
  high = 0;
  low = 0;
  setLane(2, seedHigh, seedLow);
  // − PRIME_1
  high = ~PRIME_1_HIGH;
  low = -PRIME_1_LOW | 0;
  setLane(3, seedHigh, seedLow);
}

/** high:low ← the four lanes joined. */
function merge(): void {
  high = 0;
  low = 0;
  let sumHigh = 0;
  let sumLow = 0;
  for (let lane = 0; lane < LANES; lane++) {
    high = lanes[2 * lane];
    low = lanes[2 * lane + 1];
    rotate(MERGE_BITS[lane]);
    add(sumHigh, sumLow);
    sumHigh = high;
    sumLow = low;
  }
  for (let lane = 0; lane < LANES; lane++) {
    round(0, 0, lanes[2 * lane], lanes[2 * lane + 1]);
    high ^= sumHigh;
    low ^= sumLow;
    multiply(PRIME_1_HIGH, PRIME_1_LOW);
    add(PRIME_4_HIGH, PRIME_4_LOW);
    sumHigh = high;
    sumLow = low;
  }
}

/** The 64-bit xxHash of a whole content. */
export function xxhash64OfChain(chain: Chain, seed: bigint): bigint {
  if (typeof seed !== 'bigint' || seed < 0n || seed > SEED_MAX)
    throw outOfRangeError('seed', seed, 0n, SEED_MAX);
  const seedHigh = Number(seed >> 32n) | 0;
  const seedLow = Number(seed & 0xffff_ffffn) | 0;
  begin(seedHigh, seedLow);
  let waiting = 0;
  for (let fragment = chain.head; fragment !== null; fragment = following(chain, fragment)) {
    const { bytes, view } = regionOf(fragment);
    const end = fragment.end;
    let at = fragment.start;
    if (waiting > 0) {
      while (waiting < STRIPE_BYTES && at < end) stripe[waiting++] = bytes[at++];
      if (waiting < STRIPE_BYTES) continue;
      takeStripe(stripeView, 0);
      waiting = 0;
    }
    for (; at + STRIPE_BYTES <= end; at += STRIPE_BYTES) takeStripe(view, at);
    while (at < end) stripe[waiting++] = bytes[at++];
  }
  if (chain.size >= STRIPE_BYTES) {
    merge();
  } else {
    high = seedHigh;
    low = seedLow;
    add(PRIME_5_HIGH, PRIME_5_LOW);
  }
  finish(chain.size, waiting);
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

function finish(size: number, waiting: number): void {
  add(Math.floor(size / 0x1_0000_0000) | 0, size | 0);
  let at = 0;
  for (; at + 8 <= waiting; at += 8) {
    const hashHigh = high;
    const hashLow = low;
    round(0, 0, stripeView.getInt32(at + 4, true), stripeView.getInt32(at, true));
    high ^= hashHigh;
    low ^= hashLow;
    rotate(27);
    multiply(PRIME_1_HIGH, PRIME_1_LOW);
    add(PRIME_4_HIGH, PRIME_4_LOW);
  }
  for (; at + 4 <= waiting; at += 4) {
    mixIn(stripeView.getInt32(at, true), PRIME_1_HIGH, PRIME_1_LOW);
    rotate(23);
    multiply(PRIME_2_HIGH, PRIME_2_LOW);
    add(PRIME_3_HIGH, PRIME_3_LOW);
  }
  for (; at < waiting; at++) {
    mixIn(stripe[at], PRIME_5_HIGH, PRIME_5_LOW);
    rotate(11);
    multiply(PRIME_1_HIGH, PRIME_1_LOW);
  }
  // ^ >>> 33, ^ >>> 29, ^ >>> 32
  low ^= high >>> 1;
  multiply(PRIME_2_HIGH, PRIME_2_LOW);
  low ^= (high << 3) | (low >>> 29);
  high ^= high >>> 29;
  multiply(PRIME_3_HIGH, PRIME_3_LOW);
  low ^= high;
}

/** high:low ^= word × prime, for an unsigned 32-bit word */
function mixIn(word: number, primeHigh: number, primeLow: number): void {
  const hashHigh = high;
  const hashLow = low;
  high = 0;
  low = word;
  multiply(primeHigh, primeLow);
  high ^= hashHigh;
  low ^= hashLow;
}
