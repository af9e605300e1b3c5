import { FRAGMENT_SIZE_BYTES_MAX, IOBuf } from '@sunstar/iobuf';
import {
  type Completion,
  ERRNO,
  IORING_OP,
  inThisGroup,
  type ShardMemory,
  type SunstarError,
  systemError,
} from '@sunstar/runtime';
import { alignDown, alignUp } from './alignment.js';
import type { FileOperations, Ticket } from './file-operations.js';
import { abortedError, type ReadMemory } from './io-options.js';

/** What reads and writes of whole ranges need to know of their file. */
export interface RangeTarget {
  readonly operations: FileOperations;
  readonly memory: ShardMemory;
  readonly memoryAlignmentBytes: number;
  readonly offsetAlignmentBytes: number;
  readonly depth: number;
  readonly path: string;
}

/** One block of memory that a part of the range is read into. */
class Piece implements Completion {
  readonly memoryOffset: number;
  readonly length: number;
  /** Bytes that were read; less than `length` at the end of the file. */
  read = 0;
  /** While it is in flight or waits. */
  ticket: Ticket | null = null;
  readonly #range: RangeRead;

  constructor(range: RangeRead, memoryOffset: number, length: number) {
    this.#range = range;
    this.memoryOffset = memoryOffset;
    this.length = length;
  }

  complete(result: number): void {
    this.#range.pieceCompleted(this, result);
  }
}

/**
 * Reads any range of a file: the aligned range around it in pieces of up to 128 KiB, all at the same time,
 * which then become the fragments of one IOBuf, trimmed to what was asked for and to what the file has. What
 * lies in memory behind the end of the file is never part of it.
 */
class RangeRead {
  readonly #target: RangeTarget;
  readonly #position: number;
  readonly #length: number;
  readonly #start: number;
  readonly #pieces: Piece[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (content: IOBuf) => void;
  readonly #reject: (error: Error) => void;
  #next = 0;
  #inFlight = 0;
  #isOver = false;
  #error: SunstarError | null = null;

  constructor(
    target: RangeTarget,
    position: number,
    length: number,
    source: ReadMemory,
    signal: AbortSignal | undefined,
    resolve: (content: IOBuf) => void,
    reject: (error: Error) => void,
  ) {
    this.#target = target;
    this.#position = position;
    this.#length = length;
    this.#start = alignDown(position, target.offsetAlignmentBytes);
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#allocate(source, alignUp(position + length, target.offsetAlignmentBytes) - this.#start);
    signal?.addEventListener('abort', this);
    this.#pump();
  }

  /** The signal's event. */
  handleEvent(): void {
    this.#isOver = true;
    for (const piece of this.#pieces) {
      if (piece.ticket !== null) this.#target.operations.cancel(piece.ticket, piece);
    }
  }

  #allocate(source: ReadMemory, total: number): void {
    const { memoryAlignmentBytes } = this.#target;
    try {
      for (let at = 0; at < total; at += FRAGMENT_SIZE_BYTES_MAX) {
        const length = Math.min(FRAGMENT_SIZE_BYTES_MAX, total - at);
        this.#pieces.push(new Piece(this, source.allocateAligned(length, memoryAlignmentBytes), length));
      }
    } catch (error) {
      this.#free();
      throw error;
    }
  }

  #pump(): void {
    const { operations, depth } = this.#target;
    operations.hold();
    while (!this.#isOver && this.#next < this.#pieces.length && this.#inFlight < depth) {
      const piece = this.#pieces[this.#next];
      const position = this.#start + this.#next * FRAGMENT_SIZE_BYTES_MAX;
      this.#next++;
      this.#inFlight++;
      piece.ticket = operations.transfer(piece, IORING_OP.READ, position, piece.memoryOffset, piece.length);
    }
    operations.submitHeld();
  }

  pieceCompleted(piece: Piece, result: number): void {
    this.#inFlight--;
    piece.ticket = null;
    if (result < 0) {
      this.#isOver = true;
      this.#error ??=
        result === -ERRNO.ECANCELED && this.#signal?.aborted === true
          ? abortedError('read', this.#target.path, this.#signal)
          : systemError('read', result, this.#target.path);
    } else {
      piece.read = result;
      if (result < piece.length) this.#isOver = true;
    }
    this.#pump();
    if (this.#inFlight > 0 || (!this.#isOver && this.#next < this.#pieces.length)) return;
    this.#signal?.removeEventListener('abort', this);
    // Pieces that were never asked for: those that the device had are not all.
    if (this.#signal?.aborted === true && this.#next < this.#pieces.length && !this.#hasReachedEnd()) {
      this.#error ??= abortedError('read', this.#target.path, this.#signal);
    }
    if (this.#error !== null) {
      this.#free();
      this.#reject(this.#error);
    } else {
      this.#resolve(this.#content());
    }
  }

  /** Whether a piece came up short, as it does at the end of the file. */
  #hasReachedEnd(): boolean {
    for (let i = 0; i < this.#next; i++) {
      if (this.#pieces[i].read < this.#pieces[i].length) return true;
    }
    return false;
  }

  #content(): IOBuf {
    const { memory } = this.#target;
    const content = new IOBuf(memory);
    const skip = this.#position - this.#start;
    let at = 0;
    let hasEnded = false;
    for (const piece of this.#pieces) {
      const from = Math.max(skip - at, 0);
      const to = hasEnded ? 0 : Math.min(piece.read, skip + this.#length - at);
      if (to > from) content.adopt(piece.memoryOffset, piece.length, from, to - from);
      else memory.free(piece.memoryOffset);
      // Pieces behind a short one do not belong to the file as it was seen here.
      hasEnded ||= piece.read < piece.length;
      at += piece.length;
    }
    return content;
  }

  #free(): void {
    for (const piece of this.#pieces) this.#target.memory.free(piece.memoryOffset);
  }
}

/** Reads up to `length` bytes; the IOBuf is shorter at the end of the file. Arguments are checked before. */
export function readRange(
  target: RangeTarget,
  position: number,
  length: number,
  source: ReadMemory = target.memory,
  signal?: AbortSignal,
): Promise<IOBuf> {
  if (length === 0) return Promise.resolve(new IOBuf(target.memory));
  const content = new Promise<IOBuf>((resolve, reject) => {
    new RangeRead(target, position, length, source, signal, resolve, reject);
  });
  // A signal ends it in the group that aborts.
  return signal === undefined ? content : inThisGroup(content);
}
