import { SunstarError } from '@sunstar/runtime';

/** Marks at the front that are over before the array is copied. */
const COMPACT_AT = 1024;

/** Translates how far a segment is flushed, in bytes, to how far the log is durable, in records. */
export class DurableMarks {
  readonly #ends: number[] = [];
  readonly #sequences: number[] = [];
  #head = 0;
  #durable: number;

  constructor(durable: number) {
    this.#durable = durable;
  }

  /** Sequence number behind the last durable record. */
  get durable(): number {
    return this.#durable;
  }

  /** A batch ends at a file position, and the records behind it begin with a sequence number. */
  appended(endBytes: number, nextSequence: number): void {
    this.#ends.push(endBytes);
    this.#sequences.push(nextSequence);
  }

  /** The segment is flushed up to a file position. */
  flushed(offset: number): void {
    while (this.#head < this.#ends.length && this.#ends[this.#head] <= offset) {
      this.#durable = this.#sequences[this.#head++];
    }
    if (this.#head < COMPACT_AT && this.#head < this.#ends.length) return;
    this.#ends.splice(0, this.#head);
    this.#sequences.splice(0, this.#head);
    this.#head = 0;
  }

  invariants(): void {
    for (let i = this.#head + 1; i < this.#ends.length; i++) {
      if (this.#ends[i] > this.#ends[i - 1] && this.#sequences[i] > this.#sequences[i - 1]) continue;
      throw new SunstarError('SUNSTAR_INVARIANT', 'DurableMarks: marks are out of order.');
    }
  }
}
