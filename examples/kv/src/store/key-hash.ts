import { randomBytes } from 'node:crypto';

/**
 * HalfSipHash-1-3 with a 32-bit result (Aumasson and Bernstein 2012; the 32-bit variant that Linux uses for its
 * hash tables): a keyed hash, so that a client who does not know the key cannot choose keys that collide.
 * Costs about 10 ns for 16 bytes.
 */
export class KeyHash {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #key0: number;
  readonly #key1: number;

  /** @param seed - 8 bytes; random by default, which is once per process. */
  constructor(bytes: Uint8Array, view: DataView, seed: Uint8Array = PROCESS_SEED) {
    const seedView = new DataView(seed.buffer, seed.byteOffset, 8);
    this.#bytes = bytes;
    this.#view = view;
    this.#key0 = seedView.getInt32(0, true);
    this.#key1 = seedView.getInt32(4, true);
  }

  /** The hash of a range of bytes, a signed 32-bit integer. */
  of(offset: number, length: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    let v0 = this.#key0 | 0;
    let v1 = this.#key1 | 0;
    let v2 = v0 ^ 0x6c796765;
    let v3 = v1 ^ 0x74656462;

    const end = offset + (length & ~3);
    let at = offset;
    for (; at < end; at += 4) {
      const word = view.getInt32(at, true);
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }

    let last = length << 24;
    const rest = length & 3;
    if (rest > 0) last |= bytes[at];
    if (rest > 1) last |= bytes[at + 1] << 8;
    if (rest > 2) last |= bytes[at + 2] << 16;

    // Unrolled, because a loop over these rounds takes twice the time.
    v3 ^= last;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= last;
    v2 ^= 0xff;

    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);

    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);

    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    return v1 ^ v3;
  }
}

const PROCESS_SEED: Uint8Array = randomBytes(8);
