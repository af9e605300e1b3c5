import { FRAGMENT_SIZE_BYTES_MAX, type IOBuf, IOVEC_SIZE_BYTES } from '@sunstar/iobuf';
import {
  type Completion,
  ERRNO,
  IORING_OP,
  inThisGroup,
  OutOfMemoryError,
  systemError,
} from '@sunstar/runtime';
import { alignDown, alignUp } from './alignment.js';
import type { Ticket } from './file-operations.js';
import { abortedError } from './io-options.js';
import { writeIovecs } from './iovecs.js';
import type { RangeTarget } from './range-read.js';

/** Pieces of memory in one vectored write. */
const MAX_IOVECS = 64;
/** Aligned memory shorter than this is copied together with what lies around it. */
const MIN_DIRECT_BYTES = 4096;

/** The bytes to write, seen as pieces of the arena; those of a Uint8Array outside of it must be copied. */
interface Source {
  readonly sizeBytes: number;
  /** Arena offset of the bytes at the cursor, −1 when they are not in the arena. */
  offset(): number;
  /** Contiguous bytes at the cursor. */
  length(): number;
  advance(count: number): void;
  /** Copies contiguous bytes at the cursor to the arena, without moving the cursor. */
  copy(to: number, count: number): void;
  release(): void;
}

class BufferSource implements Source {
  readonly sizeBytes: number;
  readonly #content: IOBuf;
  readonly #bytes: Buffer;
  #fragment = 0;
  #at = 0;

  constructor(content: IOBuf) {
    // A share keeps the fragments alive when the caller disposes its buffer meanwhile; those of other memory
    // are copied, because O_DIRECT needs the arena's alignment.
    this.#content = content.share().localize();
    this.#bytes = content.memory.bytes;
    this.sizeBytes = content.sizeBytes;
  }

  offset(): number {
    return this.#content.fragmentOffset(this.#fragment) + this.#at;
  }

  length(): number {
    return this.#content.fragmentLength(this.#fragment) - this.#at;
  }

  advance(count: number): void {
    this.#at += count;
    if (this.#at < this.#content.fragmentLength(this.#fragment)) return;
    this.#fragment++;
    this.#at = 0;
  }

  copy(to: number, count: number): void {
    const from = this.offset();
    this.#bytes.copyWithin(to, from, from + count);
  }

  release(): void {
    this.#content[Symbol.dispose]();
  }
}

class BytesSource implements Source {
  readonly sizeBytes: number;
  readonly #data: Uint8Array;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(data: Uint8Array, bytes: Buffer) {
    this.#data = data;
    this.#bytes = bytes;
    this.sizeBytes = data.length;
  }

  offset(): number {
    if (this.#data.buffer !== this.#bytes.buffer) return -1;
    return this.#data.byteOffset - this.#bytes.byteOffset + this.#at;
  }

  length(): number {
    return this.sizeBytes - this.#at;
  }

  advance(count: number): void {
    this.#at += count;
  }

  copy(to: number, count: number): void {
    this.#bytes.set(this.#data.subarray(this.#at, this.#at + count), to);
  }

  release(): void {}
}

/** How a range is written where the defaults do not do. */
export interface RangeWriteOptions {
  readonly signal?: AbortSignal;
  /** Bytes of one write at most, a multiple of the alignment. @defaultValue 131072 */
  readonly maxWriteBytes?: number;
  /** Is told of every write. Then one that failed does not keep the others from being made. */
  readonly observer?: RangeWriteObserver;
}

/** Learns what became of each part of a range. */
export interface RangeWriteObserver {
  /** Bytes from an offset within the data were written, or not. */
  settled(offset: number, length: number, error: Error | null): void;
}

/** One write in flight, with the memory that it borrowed. */
class Step implements Completion {
  /** Where it is in the data. */
  offset = 0;
  length = 0;
  /** Copy of bytes that could not be written from where they are, or −1. */
  bounce = -1;
  /** The scatter list, or −1. */
  iovecs = -1;
  /** While it is in flight or waits. */
  ticket: Ticket | null = null;
  readonly #range: RangeWrite;

  constructor(range: RangeWrite) {
    this.#range = range;
  }

  complete(result: number): void {
    this.#range.stepCompleted(this, result);
  }
}

/**
 * Writes the content of a buffer: aligned fragments from where they are, neighbours merged into vectored
 * writes of up to 128 KiB, everything at the same time and completing in any order. Bytes that are not aligned
 * in memory go through blocks that are.
 */
class RangeWrite {
  readonly #target: RangeTarget;
  readonly #source: Source;
  readonly #signal: AbortSignal | undefined;
  readonly #observer: RangeWriteObserver | undefined;
  readonly #maxWriteBytes: number;
  readonly #resolve: (written: number) => void;
  readonly #reject: (error: Error) => void;
  readonly #steps: Step[] = [];
  /** Steps with a ticket; kept only where a signal may ask for them. */
  readonly #started: Set<Step> | null;
  readonly #offsets: number[] = [];
  readonly #lengths: number[] = [];
  #position: number;
  #left: number;
  #inFlight = 0;
  #error: Error | null = null;

  constructor(
    target: RangeTarget,
    position: number,
    source: Source,
    options: RangeWriteOptions,
    resolve: (written: number) => void,
    reject: (error: Error) => void,
  ) {
    const { signal, observer, maxWriteBytes = FRAGMENT_SIZE_BYTES_MAX } = options;
    this.#signal = signal;
    this.#observer = observer;
    this.#maxWriteBytes = maxWriteBytes;
    this.#started = signal === undefined ? null : new Set();
    this.#target = target;
    this.#position = position;
    this.#source = source;
    this.#left = source.sizeBytes;
    this.#resolve = resolve;
    this.#reject = reject;
    signal?.addEventListener('abort', this);
    this.#pump();
  }

  /** The signal's event. */
  handleEvent(): void {
    if (this.#left > 0) this.#abandon(abortedError('write', this.#target.path, this.#signal));
    for (const step of this.#started ?? []) {
      if (step.ticket !== null) this.#target.operations.cancel(step.ticket, step);
    }
  }

  /** What was not asked for yet is not written any more. */
  #abandon(error: Error): void {
    this.#error ??= error;
    const offset = this.#source.sizeBytes - this.#left;
    const length = this.#left;
    this.#left = 0;
    this.#observer?.settled(offset, length, error);
  }

  #pump(): void {
    const { operations, depth } = this.#target;
    operations.hold();
    while (this.#left > 0 && this.#inFlight < depth) {
      if (!this.#issue()) break;
    }
    operations.submitHeld();
    if (this.#inFlight > 0) return;
    this.#signal?.removeEventListener('abort', this);
    this.#source.release();
    if (this.#error === null) this.#resolve(this.#source.sizeBytes);
    else this.#reject(this.#error);
  }

  stepCompleted(step: Step, result: number): void {
    this.#inFlight--;
    const { memory, path } = this.#target;
    if (step.bounce >= 0) memory.free(step.bounce);
    if (step.iovecs >= 0) memory.free(step.iovecs);
    step.bounce = -1;
    step.iovecs = -1;
    step.ticket = null;
    this.#started?.delete(step);
    this.#steps.push(step);
    let error: Error | null = null;
    if (result < 0) {
      error =
        result === -ERRNO.ECANCELED && this.#signal?.aborted === true
          ? abortedError('write', path, this.#signal)
          : systemError('write', result, path);
      this.#error ??= error;
    }
    if (this.#observer !== undefined) this.#observer.settled(step.offset, step.length, error);
    else if (error !== null) this.#left = 0;
    this.#pump();
  }

  /** Starts the next write; false when it has to wait for memory, or failed. */
  #issue(): boolean {
    const step = this.#steps.pop() ?? new Step(this);
    try {
      if (this.#directBytes() > 0) this.#issueDirect(step);
      else this.#issueCopy(step);
      return true;
    } catch (error) {
      this.#steps.push(step);
      // Writes in flight give memory back; without any, this is final.
      if (error instanceof OutOfMemoryError && this.#inFlight > 0) return false;
      this.#abandon(error instanceof Error ? error : new Error(String(error)));
      return false;
    }
  }

  /** How many bytes at the cursor can be written from where they are. */
  #directBytes(): number {
    const { memoryAlignmentBytes, offsetAlignmentBytes } = this.#target;
    if (this.#left === 0) return 0;
    const offset = this.#source.offset();
    if (offset < 0 || offset % memoryAlignmentBytes !== 0) return 0;
    const length = alignDown(this.#source.length(), offsetAlignmentBytes);
    return length >= MIN_DIRECT_BYTES || length === this.#left ? length : 0;
  }

  #issueDirect(step: Step): void {
    // The list is complete before the first byte counts as written: allocating may fail.
    if (this.#source.length() < Math.min(this.#left, this.#maxWriteBytes)) {
      step.iovecs = this.#target.memory.allocate(MAX_IOVECS * IOVEC_SIZE_BYTES);
    }
    this.#offsets.length = 0;
    this.#lengths.length = 0;
    let total = 0;
    let room = this.#maxWriteBytes;
    const maxPieces = step.iovecs < 0 ? 1 : MAX_IOVECS;
    while (room > 0 && this.#offsets.length < maxPieces) {
      const count = Math.min(this.#directBytes(), room);
      if (count === 0) break;
      this.#offsets.push(this.#source.offset());
      this.#lengths.push(count);
      total += count;
      room -= count;
      this.#left -= count;
      this.#source.advance(count);
    }
    const { operations } = this.#target;
    const position = this.#begin(step, total);
    if (this.#offsets.length === 1) {
      step.ticket = operations.transfer(step, IORING_OP.WRITE, position, this.#offsets[0], total);
    } else {
      writeIovecs(this.#target.memory, step.iovecs, this.#offsets, this.#lengths);
      const count = this.#offsets.length;
      step.ticket = operations.transferVector(step, IORING_OP.WRITEV, position, step.iovecs, count, total);
    }
  }

  /** Counts a write as on its way; returns its position. */
  #begin(step: Step, total: number): number {
    const position = this.#position;
    step.offset = this.#source.sizeBytes - this.#left - total;
    step.length = total;
    this.#position += total;
    this.#inFlight++;
    this.#started?.add(step);
    return position;
  }

  #issueCopy(step: Step): void {
    const { memory, memoryAlignmentBytes, offsetAlignmentBytes, operations } = this.#target;
    const capacity = Math.min(this.#maxWriteBytes, alignUp(this.#left, offsetAlignmentBytes));
    step.bounce = memory.allocateAligned(capacity, memoryAlignmentBytes);
    let total = 0;
    while (total < capacity && this.#left > 0) {
      if (total > 0 && total % offsetAlignmentBytes === 0 && this.#directBytes() > 0) break;
      const border = alignUp(total + 1, offsetAlignmentBytes) - total;
      const length = this.#source.length();
      const from = this.#source.offset();
      // Up to the border where the rest of this piece can go directly, or all of it when it cannot.
      const goesOnDirectly =
        from >= 0 && length - border >= MIN_DIRECT_BYTES && (from + border) % memoryAlignmentBytes === 0;
      const count = Math.min(goesOnDirectly ? border : length, capacity - total);
      this.#source.copy(step.bounce + total, count);
      this.#source.advance(count);
      this.#left -= count;
      total += count;
    }
    const position = this.#begin(step, total);
    step.ticket = operations.transfer(step, IORING_OP.WRITE, position, step.bounce, total);
  }
}

/** Writes all of `data`; position and size are aligned. The bytes must not change until it is done. */
export function writeRange(
  target: RangeTarget,
  position: number,
  data: Uint8Array | IOBuf,
  options: RangeWriteOptions = {},
): Promise<number> {
  const written = new Promise<number>((resolve, reject) => {
    const { memory } = target;
    let source: Source;
    if (data instanceof Uint8Array) source = new BytesSource(data, memory.bytes);
    else if (data.memory === memory) source = new BufferSource(data);
    else source = new BytesSource(data.toBuffer(), memory.bytes);
    new RangeWrite(target, position, source, options, resolve, reject);
  });
  // A signal ends it in the group that aborts.
  return options.signal === undefined ? written : inThisGroup(written);
}
