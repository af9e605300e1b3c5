import { inThisGroup, SunstarError } from '@sunstar/runtime';
import type { RangeWriteObserver } from '../range-write.js';
import { ScatterError } from './scatter-error.js';

/** How a scattered write is cut and sent. */
export interface ScatterOptions {
  /**
   * Bytes of a page, the unit of promises and errors: a multiple of the file's `offsetAlignmentBytes`, up to
   * 131072. The last page may be shorter.
   *
   * @defaultValue 4096, or the alignment where that is larger
   */
  readonly pageBytes?: number;
  /**
   * Neighbouring pages go to the device as one (vectored) write of at most so many bytes, a multiple of
   * `pageBytes` up to 131072. With `pageBytes` every page is a write of its own.
   *
   * @defaultValue 131072
   */
  readonly mergeBytes?: number;
  /** As in `FileIoOptions`: pages that still wait for their turn are not written. */
  readonly signal?: AbortSignal;
}

interface Waiter {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const PENDING = 0;
const WRITTEN = 1;
const FAILED = 2;

/**
 * One write of many pages, all of them on their way to the device at the same time. They are done in any order.
 *
 * {@link done} speaks for the batch, {@link page} for a single page, for whoever needs it before the rest.
 */
export class ScatterBatch {
  readonly pageBytes: number;
  readonly pageCount: number;
  /**
   * Resolves with the bytes written when all pages are; rejects with a {@link ScatterError} that names the others,
   * once nothing is on its way any more.
   */
  readonly done: Promise<number>;
  readonly #path: string;
  readonly #sizeBytes: number;
  /** Bytes of each page that are still to be settled. */
  readonly #left: Int32Array;
  readonly #states: Uint8Array;
  readonly #waiters = new Map<number, Waiter>();
  readonly #errors = new Map<number, Error>();
  #settledPages = 0;

  /**
   * @param write - Starts the write with this batch as its observer; settles when all is over.
   * @internal
   */
  constructor(
    path: string,
    sizeBytes: number,
    pageBytes: number,
    write: (observer: RangeWriteObserver) => Promise<number>,
  ) {
    this.#path = path;
    this.#sizeBytes = sizeBytes;
    this.pageBytes = pageBytes;
    this.pageCount = Math.ceil(sizeBytes / pageBytes);
    this.#left = new Int32Array(this.pageCount).fill(pageBytes);
    if (this.pageCount > 0) this.#left[this.pageCount - 1] = sizeBytes - (this.pageCount - 1) * pageBytes;
    this.#states = new Uint8Array(this.pageCount);
    this.done = this.#finish(write(this));
  }

  /** Pages that are written, or have failed. */
  get settledPages(): number {
    return this.#settledPages;
  }

  /**
   * Resolves when a page is written; rejects with what its write failed with. What is asked for only when it is
   * over is answered at once.
   *
   * @param index - 0 to `pageCount` − 1.
   */
  page(index: number): Promise<void> {
    if (!Number.isInteger(index) || index < 0 || index >= this.pageCount) {
      return Promise.reject(
        new SunstarError(
          'SUNSTAR_OUT_OF_RANGE',
          `Page ${index} is not one of the ${this.pageCount} pages of the batch.`,
        ),
      );
    }
    if (this.#states[index] === WRITTEN) return Promise.resolve();
    if (this.#states[index] === FAILED) {
      const error = this.#errors.get(index);
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    return inThisGroup(this.#waiter(index).promise);
  }

  /** Whether a page is written. */
  isWritten(index: number): boolean {
    return this.#states[index] === WRITTEN;
  }

  /** Called by the write. @internal */
  settled(offset: number, length: number, error: Error | null): void {
    const end = offset + length;
    for (let index = Math.floor(offset / this.pageBytes); index * this.pageBytes < end; index++) {
      const from = Math.max(offset, index * this.pageBytes);
      const to = Math.min(end, (index + 1) * this.pageBytes);
      this.#left[index] -= to - from;
      // A page may be written in two parts, one of which has failed.
      if (error !== null && !this.#errors.has(index)) this.#errors.set(index, error);
      if (this.#left[index] === 0) this.#settlePage(index);
    }
  }

  #settlePage(index: number): void {
    const error = this.#errors.get(index);
    this.#states[index] = error === undefined ? WRITTEN : FAILED;
    this.#settledPages++;
    const waiter = this.#waiters.get(index);
    if (waiter === undefined) return;
    this.#waiters.delete(index);
    if (error === undefined) waiter.resolve();
    else waiter.reject(error);
  }

  #waiter(index: number): Waiter {
    let waiter = this.#waiters.get(index);
    if (waiter === undefined) {
      let resolve!: () => void;
      let reject!: (error: unknown) => void;
      const promise = new Promise<void>((yes, no) => {
        resolve = yes;
        reject = no;
      });
      waiter = { promise, resolve, reject };
      this.#waiters.set(index, waiter);
    }
    return waiter;
  }

  async #finish(writing: Promise<number>): Promise<number> {
    try {
      await writing;
    } catch (cause) {
      const failed = [...this.#errors.keys()].sort((a, b) => a - b);
      throw new ScatterError(this.#path, failed, this.pageCount, cause);
    }
    return this.#sizeBytes;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    let settled = 0;
    for (let index = 0; index < this.pageCount; index++) {
      const isOver = this.#states[index] !== PENDING;
      if (isOver) settled++;
      if (isOver !== (this.#left[index] === 0) || this.#left[index] < 0) {
        throw new SunstarError(
          'SUNSTAR_INVARIANT',
          `Page ${index} of a batch is settled when its bytes are.`,
        );
      }
      if (isOver && (this.#states[index] === FAILED) !== this.#errors.has(index)) {
        throw new SunstarError('SUNSTAR_INVARIANT', `Page ${index} of a batch has failed without an error.`);
      }
    }
    if (settled !== this.#settledPages) {
      throw new SunstarError('SUNSTAR_INVARIANT', 'A batch counts its settled pages.');
    }
  }
}
