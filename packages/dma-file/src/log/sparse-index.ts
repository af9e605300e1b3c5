import { crc32c } from '@sunstar/iobuf';
import { SunstarError } from '@sunstar/runtime';

const MAGIC = 0x31494c53;
const HEADER_BYTES = 56;
const ENTRY_BYTES = 16;
const TWO_32 = 2 ** 32;

/** Where a segment ends, and what it has. */
export interface SegmentEnd {
  /** File position behind the last batch. */
  readonly endBytes: number;
  /** Sequence number behind the last record. */
  readonly nextSequence: number;
  /** Time of the newest batch. */
  readonly timeMs: number;
}

/** What the saved form of an index says. */
export interface SavedIndex extends SegmentEnd {
  readonly baseSequence: number;
  readonly epoch: number;
  readonly index: SparseIndex;
}

/** Positions of some batches of a segment, at least `intervalBytes` apart, by the sequence number of their first record. */
export class SparseIndex {
  readonly intervalBytes: number;
  readonly #sequences: number[] = [];
  readonly #positions: number[] = [];

  constructor(intervalBytes: number) {
    this.intervalBytes = intervalBytes;
  }

  get size(): number {
    return this.#sequences.length;
  }

  /** Notes a batch, in file order; most are passed over. */
  add(sequence: number, position: number): void {
    const last = this.#positions[this.#positions.length - 1];
    if (last !== undefined && position - last < this.intervalBytes) return;
    this.#sequences.push(sequence);
    this.#positions.push(position);
  }

  /** Number of the last entry whose batch begins at or before a record; −1 when all begin behind it. */
  floor(sequence: number): number {
    let low = 0;
    let high = this.#sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sequences[middle] <= sequence) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** File position of an entry's batch. */
  positionOf(entry: number): number {
    return this.#positions[entry];
  }

  /** Sequence number of the first record of an entry's batch. */
  sequenceOf(entry: number): number {
    return this.#sequences[entry];
  }

  /** The saved form. */
  encode(baseSequence: number, epoch: number, end: SegmentEnd): Buffer {
    const bytes = Buffer.alloc(HEADER_BYTES + this.size * ENTRY_BYTES);
    bytes.writeUInt32LE(MAGIC, 0);
    bytes.writeUInt32LE(this.size, 8);
    bytes.writeUInt32LE(epoch, 12);
    writeUnsigned(bytes, baseSequence, 16);
    writeUnsigned(bytes, end.endBytes, 24);
    writeUnsigned(bytes, end.nextSequence, 32);
    bytes.writeDoubleLE(end.timeMs, 40);
    writeUnsigned(bytes, this.intervalBytes, 48);
    for (let i = 0; i < this.size; i++) {
      writeUnsigned(bytes, this.#sequences[i], HEADER_BYTES + i * ENTRY_BYTES);
      writeUnsigned(bytes, this.#positions[i], HEADER_BYTES + i * ENTRY_BYTES + 8);
    }
    bytes.writeUInt32LE(crc32c(bytes, 8), 4);
    return bytes;
  }

  /** Reads the saved form; null when it is not intact. */
  static decode(bytes: Buffer): SavedIndex | null {
    if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) return null;
    const count = bytes.readUInt32LE(8);
    if (bytes.length !== HEADER_BYTES + count * ENTRY_BYTES) return null;
    if (crc32c(bytes, 8) !== bytes.readUInt32LE(4)) return null;
    const index = new SparseIndex(readUnsigned(bytes, 48));
    for (let i = 0; i < count; i++) {
      index.#sequences.push(readUnsigned(bytes, HEADER_BYTES + i * ENTRY_BYTES));
      index.#positions.push(readUnsigned(bytes, HEADER_BYTES + i * ENTRY_BYTES + 8));
    }
    return {
      baseSequence: readUnsigned(bytes, 16),
      epoch: bytes.readUInt32LE(12),
      endBytes: readUnsigned(bytes, 24),
      nextSequence: readUnsigned(bytes, 32),
      timeMs: bytes.readDoubleLE(40),
      index,
    };
  }

  invariants(): void {
    for (let i = 1; i < this.size; i++) {
      const isApart = this.#positions[i] - this.#positions[i - 1] >= this.intervalBytes;
      if (isApart && this.#sequences[i] > this.#sequences[i - 1]) continue;
      throw new SunstarError('SUNSTAR_INVARIANT', 'SparseIndex: entries are out of order or too close.');
    }
  }
}

function writeUnsigned(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % TWO_32, at);
  bytes.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

function readUnsigned(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * TWO_32;
}
