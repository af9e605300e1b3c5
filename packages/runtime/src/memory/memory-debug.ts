import { SunstarError } from '../errors.js';
import { captureTrace, framesOf } from './call-site.js';
import type { ProfileSite } from './heap-profile.js';
import { PAGE_BYTES } from './size-classes.js';

/** What freed memory is filled with in debug mode. */
export const POISON_BYTE = 0xdb;

/** What the bytes between the end of a block and what it really has are filled with in debug mode. */
export const REDZONE_BYTE = 0xfa;

/** A block is given at least so many more bytes for a redzone, if there are any. */
const REDZONE_BYTES = 16;

/** Stacks of this many frees are remembered, to say who freed a block that is used or freed again. */
const MAX_REMEMBERED_FREES = 4096;

/** Bytes that are compared at once. */
const STRIP_BYTES = 64 * 1024;

/** A block that has not been freed. */
export interface Leak {
  readonly offset: number;
  /** What was asked for. */
  readonly sizeBytes: number;
  /** Where it was allocated. */
  readonly stack: string;
}

interface Allocation {
  readonly sizeBytes: number;
  /** With the redzone. */
  readonly blockBytes: number;
  readonly trace: Error;
}

/**
 * Debug mode (`SUNSTAR_DEBUG=1`): freed memory is poisoned, and checked for writes when it is given out again;
 * behind every block is a redzone, which is checked when it is freed; every live block remembers who allocated it.
 *
 * The invariant behind it: a byte of a page that was ever used is poison when no live block covers it, and
 * redzone when it lies in a live block beyond what was asked for.
 */
export class MemoryDebug {
  readonly #bytes: Buffer;
  readonly #poison: Buffer = Buffer.alloc(STRIP_BYTES, POISON_BYTE);
  readonly #redzone: Buffer = Buffer.alloc(STRIP_BYTES, REDZONE_BYTE);
  /** Pages that were poisoned once; others are still as the system gave them, zero. */
  readonly #usedPages: Uint8Array;
  readonly #live = new Map<number, Allocation>();
  readonly #freedBy = new Map<number, Error>();

  constructor(bytes: Buffer, arenaBytes: number) {
    this.#bytes = bytes;
    this.#usedPages = new Uint8Array(arenaBytes / PAGE_BYTES);
  }

  /** What to ask for, so that there is a redzone and the alignment is no less: up to twice as much. */
  sizeWithRedzone(sizeBytes: number): number {
    let alignment = 8;
    while (sizeBytes % (alignment * 2) === 0) alignment *= 2;
    return Math.ceil((sizeBytes + REDZONE_BYTES) / alignment) * alignment;
  }

  /** What was asked for when the block at `offset` was allocated. */
  sizeOf(offset: number): number {
    return this.#live.get(offset)?.sizeBytes ?? 0;
  }

  /**
   * Checks a free block before it is given out.
   *
   * @throws SunstarError SUNSTAR_USE_AFTER_FREE when it was written to; the damage is repaired, and the block
   * is still free.
   */
  verifyFree(offset: number, blockBytes: number): void {
    const end = offset + blockBytes;
    for (let page = Math.floor(offset / PAGE_BYTES); page * PAGE_BYTES < end; page++) {
      if (this.#usedPages[page] !== 0) continue;
      this.#usedPages[page] = 1;
      this.#bytes.fill(POISON_BYTE, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    }
    const damage = this.#firstOther(this.#poison, offset, end);
    if (damage < 0) return;
    this.#bytes.fill(POISON_BYTE, offset, end);
    throw new SunstarError(
      'SUNSTAR_USE_AFTER_FREE',
      `Byte ${damage - offset} of the free block at offset ${offset} was written after it was freed. A buffer is used ` +
        `after its release, or the kernel still had an operation on it.${this.history(offset)}`,
    );
  }

  /**
   * Checks what lies behind a live block.
   *
   * @throws SunstarError SUNSTAR_BUFFER_OVERRUN when it was written to; the damage is repaired, and the block
   * is still live.
   */
  verifyRedzone(offset: number): void {
    const allocation = this.#live.get(offset);
    if (allocation === undefined) return;
    const { sizeBytes, blockBytes, trace } = allocation;
    const damage = this.#firstOther(this.#redzone, offset + sizeBytes, offset + blockBytes);
    if (damage < 0) return;
    this.#bytes.fill(REDZONE_BYTE, offset + sizeBytes, offset + blockBytes);
    throw new SunstarError(
      'SUNSTAR_BUFFER_OVERRUN',
      `Byte ${damage - offset} of the block at offset ${offset} was written, which has ${sizeBytes} bytes. ` +
        `It was allocated\n${framesOf(trace)}`,
    );
  }

  /** Where the first byte is that is not as in the pattern; −1 when all are. */
  #firstOther(pattern: Buffer, start: number, end: number): number {
    for (let at = start; at < end; at += pattern.length) {
      const length = Math.min(pattern.length, end - at);
      if (this.#bytes.compare(pattern, 0, length, at, at + length) === 0) continue;
      let damage = at;
      while (this.#bytes[damage] === pattern[0]) damage++;
      return damage;
    }
    return -1;
  }

  /** Notes a block that is given out now, and makes its redzone. */
  allocated(offset: number, sizeBytes: number, blockBytes: number): void {
    this.#bytes.fill(REDZONE_BYTE, offset + sizeBytes, offset + blockBytes);
    this.#live.set(offset, { sizeBytes, blockBytes, trace: captureTrace() });
  }

  /** Poisons a block that was freed, and remembers who did it. */
  freed(offset: number, blockBytes: number): void {
    this.#live.delete(offset);
    this.#bytes.fill(POISON_BYTE, offset, offset + blockBytes);
    this.#freedBy.delete(offset);
    this.#freedBy.set(offset, captureTrace());
    if (this.#freedBy.size <= MAX_REMEMBERED_FREES) return;
    for (const oldest of this.#freedBy.keys()) {
      this.#freedBy.delete(oldest);
      break;
    }
  }

  /** Poisons the tail that a shrunk block gave up; what it keeps beyond the new size is redzone. */
  shrunk(offset: number, newSizeBytes: number, keptBytes: number, blockBytes: number): void {
    this.verifyRedzone(offset);
    const allocation = this.#live.get(offset);
    if (allocation === undefined) return;
    this.#live.set(offset, { ...allocation, sizeBytes: newSizeBytes, blockBytes: keptBytes });
    this.#bytes.fill(REDZONE_BYTE, offset + newSizeBytes, offset + keptBytes);
    this.#bytes.fill(POISON_BYTE, offset + keptBytes, offset + blockBytes);
  }

  /** A sentence on who freed the block at `offset`, if that is known. */
  history(offset: number): string {
    const trace = this.#freedBy.get(offset);
    return trace === undefined ? '' : `\nIt was last freed\n${framesOf(trace)}`;
  }

  leaks(): Leak[] {
    return Array.from(this.#live, ([offset, { sizeBytes, trace }]) => ({
      offset,
      sizeBytes,
      stack: framesOf(trace),
    })).sort((a, b) => a.offset - b.offset);
  }

  /** What is live by call site, most first. */
  sites(): ProfileSite[] {
    const sites = new Map<string, { blocks: number; bytes: number }>();
    for (const { sizeBytes, trace } of this.#live.values()) {
      const stack = framesOf(trace);
      const { blocks, bytes } = sites.get(stack) ?? { blocks: 0, bytes: 0 };
      sites.set(stack, { blocks: blocks + 1, bytes: bytes + sizeBytes });
    }
    return Array.from(sites, ([stack, { blocks, bytes }]) => ({
      stack,
      allocatedBlocks: blocks,
      allocatedBytes: bytes,
      liveBlocks: blocks,
      liveBytes: bytes,
    })).sort((a, b) => b.liveBytes - a.liveBytes);
  }
}
