import { expect } from 'vitest';
import type { ShardMemory } from '../../src/memory/shard-memory.ts';

interface Block {
  readonly offset: number;
  readonly usableBytes: number;
  readonly seed: number;
}

function largestPowerOfTwoIn(value: number): number {
  let power = 1;
  while (value % (power * 2) === 0) power *= 2;
  return power;
}

/** The live blocks, each filled to its last usable byte with a pattern of its own. */
export class MemoryModel {
  readonly #memory: ShardMemory;
  readonly #granules: Uint8Array;
  readonly #live: Block[] = [];
  #seed = 0;
  usedBytes = 0;

  constructor(memory: ShardMemory) {
    this.#memory = memory;
    this.#granules = new Uint8Array(memory.arena.sizeBytes / 8);
  }

  get liveBlocks(): number {
    return this.#live.length;
  }

  allocated(offset: number, sizeBytes: number, alignmentBytes: number): void {
    if (offset < 0) {
      expect(offset).toBe(-1);
      return;
    }
    const usableBytes = this.#memory.usableSize(offset);
    expect(usableBytes).toBeGreaterThanOrEqual(sizeBytes);
    expect(offset + usableBytes).toBeLessThanOrEqual(this.#memory.arena.sizeBytes);
    expect(offset % largestPowerOfTwoIn(sizeBytes)).toBe(0);
    expect(offset % 8).toBe(0);
    expect(offset % alignmentBytes).toBe(0);
    if (sizeBytes % 4096 === 0) expect(offset % 4096).toBe(0);
    const granules = this.#granules.subarray(offset / 8, (offset + usableBytes) / 8);
    expect(granules.includes(1)).toBe(false);
    granules.fill(1);
    this.#seed = (this.#seed + 1) % 251;
    this.#memory.bytes.fill(this.#seed, offset, offset + usableBytes);
    this.#live.push({ offset, usableBytes, seed: this.#seed });
    this.usedBytes += usableBytes;
  }

  free(pick: number): void {
    if (this.#live.length === 0) return;
    const [block] = this.#live.splice(pick % this.#live.length, 1);
    this.#verify(block, block.usableBytes);
    this.#memory.free(block.offset);
    this.#granules.fill(0, block.offset / 8, (block.offset + block.usableBytes) / 8);
    this.usedBytes -= block.usableBytes;
  }

  shrink(pick: number, sizeBytes: number): void {
    if (this.#live.length === 0) return;
    const index = pick % this.#live.length;
    const { offset, usableBytes, seed } = this.#live[index];
    if (sizeBytes > usableBytes) return;
    this.#memory.shrink(offset, sizeBytes);
    const kept = this.#memory.usableSize(offset);
    expect(kept).toBeGreaterThanOrEqual(sizeBytes);
    // A block that is not a small object has no tail of half its size left.
    if (usableBytes >= 64 * 1024 && kept > 4096) expect(kept).toBeLessThan(2 * sizeBytes);
    this.#live[index] = { offset, usableBytes: kept, seed };
    this.#verify(this.#live[index], kept);
    this.#granules.fill(0, (offset + kept) / 8, (offset + usableBytes) / 8);
    this.usedBytes -= usableBytes - kept;
  }

  verifyAll(): void {
    for (const block of this.#live) this.#verify(block, block.usableBytes);
  }

  freeAll(): void {
    while (this.#live.length > 0) this.free(0);
  }

  #verify(block: Block, length: number): void {
    const bytes = this.#memory.bytes;
    const intact = bytes[block.offset] === block.seed && bytes[block.offset + length - 1] === block.seed;
    // A block of equal bytes equals itself shifted by one.
    const uniform = bytes.compare(
      bytes,
      block.offset,
      block.offset + length - 1,
      block.offset + 1,
      block.offset + length,
    );
    expect(intact && uniform === 0).toBe(true);
  }
}
