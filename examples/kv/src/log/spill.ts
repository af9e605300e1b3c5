import { crc32c, type IOBuf } from '@sunstar/iobuf';
import { type ShardMemory, SunstarError } from '@sunstar/runtime';
import { FRAME_BYTES } from './record.js';

/** Size of the blocks that a large record is gathered in: the largest fragment of an iobuf. */
const BLOCK_BYTES = 128 * 1024;

/**
 * A record too large for the log's staging block, gathered in blocks that are taken before the command begins to
 * change anything, so that writing it cannot fail.
 */
export class Spill {
  readonly #memory: ShardMemory;
  readonly #blocks: number[] = [];
  #lengthBytes = 0;
  /** Where the record begins; before it lie finished records. */
  #recordAt = 0;

  constructor(memory: ShardMemory) {
    this.#memory = memory;
  }

  /** Bytes that can be written without taking another block. */
  get roomBytes(): number {
    return this.#blocks.length * BLOCK_BYTES - this.#lengthBytes;
  }

  /** Takes blocks until there is so much room; false, with nothing changed, when there is no memory. */
  reserve(sizeBytes: number): boolean {
    const before = this.#blocks.length;
    while (this.roomBytes < sizeBytes) {
      const block = this.#memory.tryAllocate(BLOCK_BYTES);
      if (block < 0) {
        for (const taken of this.#blocks.splice(before)) this.#memory.free(taken);
        return false;
      }
      this.#blocks.push(block);
    }
    return true;
  }

  /** The record begins here; what was written before is finished. */
  beginRecord(): void {
    this.#recordAt = this.#lengthBytes;
  }

  /** Appends a range of the arena. */
  write(offset: number, length: number): void {
    if (length > this.roomBytes) {
      throw new SunstarError(
        'SUNSTAR_INVARIANT',
        `A spilled record has room for ${this.roomBytes} of ${length} bytes.`,
      );
    }
    for (let from = offset, left = length; left > 0; ) {
      const at = this.#lengthBytes % BLOCK_BYTES;
      const count = Math.min(left, BLOCK_BYTES - at);
      const block = this.#blocks[Math.floor(this.#lengthBytes / BLOCK_BYTES)];
      this.#memory.bytes.copyWithin(block + at, from, from + count);
      this.#lengthBytes += count;
      from += count;
      left -= count;
    }
  }

  /** Completes the record with its length and checksum; returns its size, 0 when it is empty and is dropped. */
  endRecord(seed: number): number {
    const { bytes } = this.#memory;
    const recordBytes = this.#lengthBytes - this.#recordAt;
    if (recordBytes === FRAME_BYTES) {
      this.#lengthBytes = this.#recordAt;
      return 0;
    }
    this.#writeWord(this.#recordAt + 4, recordBytes - FRAME_BYTES);
    let crc = seed;
    for (let at = this.#recordAt + 4; at < this.#lengthBytes; ) {
      const start = this.#offsetOf(at);
      const count = Math.min(this.#lengthBytes - at, BLOCK_BYTES - (at % BLOCK_BYTES));
      crc = crc32c(bytes, start, start + count, crc);
      at += count;
    }
    this.#writeWord(this.#recordAt, crc);
    return recordBytes;
  }

  /** Moves everything behind the content of a buffer, without a copy. */
  moveTo(target: IOBuf): void {
    for (const [index, block] of this.#blocks.entries()) {
      const used = Math.min(BLOCK_BYTES, Math.max(0, this.#lengthBytes - index * BLOCK_BYTES));
      if (used > 0) target.adopt(block, BLOCK_BYTES, 0, used);
      else this.#memory.free(block);
    }
    this.#blocks.length = 0;
    this.#lengthBytes = 0;
  }

  #offsetOf(position: number): number {
    return this.#blocks[Math.floor(position / BLOCK_BYTES)] + (position % BLOCK_BYTES);
  }

  /** A word may lie across two blocks. */
  #writeWord(position: number, value: number): void {
    for (let byte = 0; byte < 4; byte++) {
      this.#memory.bytes[this.#offsetOf(position + byte)] = value >>> (8 * byte);
    }
  }
}
