import { SunstarError } from '../errors.js';
import { PAGE_BYTES } from './size-classes.js';

/** What freed memory is filled with in debug mode. */
export const POISON_BYTE = 0xdb;

/** Stacks of this many frees are remembered, to say who freed a block that is used or freed again. */
const MAX_REMEMBERED_FREES = 4096;

const STACK_FRAMES = 16;

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
  /** Where it was made. */
  readonly trace: Error;
}

/**
 * Debug mode (`SUNSTAR_DEBUG=1`): freed memory is poisoned, and checked for writes when it is given out again;
 * every live block remembers who allocated it.
 *
 * The invariant behind it: a byte of a page that was ever used, and that no live block covers, is poison.
 */
export class MemoryDebug {
  readonly #bytes: Buffer;
  readonly #poison: Buffer = Buffer.alloc(64 * 1024, POISON_BYTE);
  /** Pages that were poisoned once; others are still as the system gave them, zero. */
  readonly #usedPages: Uint8Array;
  readonly #live = new Map<number, Allocation>();
  readonly #freedBy = new Map<number, Error>();

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#usedPages = new Uint8Array(bytes.length / PAGE_BYTES);
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
    for (let at = offset; at < end; at += this.#poison.length) {
      const length = Math.min(this.#poison.length, end - at);
      if (this.#bytes.compare(this.#poison, 0, length, at, at + length) === 0) continue;
      while (this.#bytes[at] === POISON_BYTE) at++;
      this.#bytes.fill(POISON_BYTE, offset, end);
      throw new SunstarError(
        'SUNSTAR_USE_AFTER_FREE',
        `Byte ${at - offset} of the free block at offset ${offset} was written after it was freed. A buffer is used ` +
          `after its release, or the kernel still had an operation on it.${this.history(offset)}`,
      );
    }
  }

  /** Notes a block that is given out now. */
  allocated(offset: number, sizeBytes: number): void {
    this.#live.set(offset, { sizeBytes, trace: captureTrace() });
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

  /** Poisons the tail that a shrunk block gave up. */
  shrunk(offset: number, newSizeBytes: number, keptBytes: number, blockBytes: number): void {
    const allocation = this.#live.get(offset);
    if (allocation !== undefined) this.#live.set(offset, { ...allocation, sizeBytes: newSizeBytes });
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
}

function captureTrace(): Error {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_FRAMES;
  const trace = new Error();
  Error.stackTraceLimit = limit;
  // Until it is text, it keeps the receivers of its frames alive: a forgotten buffer would never be collected.
  void trace.stack;
  return trace;
}

/** The stack from the caller of the allocator on. */
function framesOf(trace: Error): string {
  const frames = (trace.stack ?? '').split('\n').slice(1);
  const caller = frames.findIndex(
    (frame) => !/ at (?:captureTrace |MemoryDebug\.|ShardMemory\.|#)/.test(frame),
  );
  return frames.slice(Math.max(caller, 0)).join('\n');
}
