import { addressOf } from '@sunstar/native';
import { detachedError } from './errors.js';
import type { Fragment } from './fragment.js';

/**
 * A piece of memory that blocks lie in: the shard's arena, the arena of another shard, or an array that was
 * wrapped. Offsets of fragments count from its first byte.
 */
export class Region {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly sizeBytes: number;
  /** Address of the first byte; 0: not asked for yet. */
  #address: number;

  constructor(bytes: Buffer, view: DataView, address: number) {
    this.bytes = bytes;
    this.view = view;
    this.sizeBytes = bytes.length;
    this.#address = address;
  }

  /** A region over any byte array. Its memory stays alive as long as the region does. */
  static over(bytes: Uint8Array): Region {
    // Reading `buffer` also moves the bytes of a small array off the collected heap, where they stay put.
    const { buffer, byteOffset, byteLength } = bytes;
    return new Region(
      Buffer.from(buffer, byteOffset, byteLength),
      new DataView(buffer, byteOffset, byteLength),
      0,
    );
  }

  /** Where the kernel finds the first byte. */
  get address(): number {
    if (this.#address === 0) this.#address = addressOf(this.bytes);
    return this.#address;
  }
}

/** The memory that a fragment's offsets count in. */
export function regionOf(fragment: Fragment): Region {
  const region = fragment.block.region;
  // Somebody who transfers an ArrayBuffer leaves an array of length 0 behind.
  if (region.bytes.length !== region.sizeBytes) throw detachedError();
  return region;
}

/** As {@link regionOf}, its bytes. */
export function bytesOf(fragment: Fragment): Buffer {
  const region = fragment.block.region;
  if (region.bytes.length !== region.sizeBytes) throw detachedError();
  return region.bytes;
}
