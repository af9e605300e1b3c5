import { type Chain, following } from './chain.js';
import { regionOf } from './region.js';

// xxHash32 (Yann Collet, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), computed over the
// content as one stream, so that the layout does not matter: bytes that do not fill a stripe of 16 wait in
// `stripe` for the next fragment.
const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const PRIME_3 = 0xc2b2ae3d;
const PRIME_4 = 0x27d4eb2f;
const PRIME_5 = 0x165667b1;
const STRIPE_BYTES = 16;

const stripe = new Uint8Array(STRIPE_BYTES);
const stripeView = new DataView(stripe.buffer);
// The state of the computation that runs; it never yields, so one is enough for the thread.
let lane1 = 0;
let lane2 = 0;
let lane3 = 0;
let lane4 = 0;

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function round(lane: number, word: number): number {
  return Math.imul(rotate((lane + Math.imul(word, PRIME_2)) | 0, 13), PRIME_1);
}

function takeStripe(view: DataView, at: number): void {
  lane1 = round(lane1, view.getUint32(at, true));
  lane2 = round(lane2, view.getUint32(at + 4, true));
  lane3 = round(lane3, view.getUint32(at + 8, true));
  lane4 = round(lane4, view.getUint32(at + 12, true));
}

/** The 32-bit xxHash of a whole content, unsigned. */
export function hashOfChain(chain: Chain, seed: number): number {
  lane1 = (seed + PRIME_1 + PRIME_2) | 0;
  lane2 = (seed + PRIME_2) | 0;
  lane3 = seed | 0;
  lane4 = (seed - PRIME_1) | 0;
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
  return finish(chain.size, seed, waiting);
}

function finish(size: number, seed: number, waiting: number): number {
  let hash =
    size >= STRIPE_BYTES
      ? (rotate(lane1, 1) + rotate(lane2, 7) + rotate(lane3, 12) + rotate(lane4, 18)) | 0
      : (seed + PRIME_5) | 0;
  hash = (hash + size) | 0;
  let at = 0;
  for (; at + 4 <= waiting; at += 4) {
    hash = (hash + Math.imul(stripeView.getUint32(at, true), PRIME_3)) | 0;
    hash = Math.imul(rotate(hash, 17), PRIME_4);
  }
  for (; at < waiting; at++) {
    hash = (hash + Math.imul(stripe[at], PRIME_5)) | 0;
    hash = Math.imul(rotate(hash, 11), PRIME_1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
