import type { IOBuf } from '@sunstar/iobuf';
import { checkOffset, rangeError, unalignedError } from './errors.js';

/** What O_DIRECT asks of the arguments of reads and writes, checked before anything is submitted. */
export class TransferChecks {
  readonly #memoryAlignmentBytes: number;
  readonly #offsetAlignmentBytes: number;
  readonly #arenaBytes: number;

  constructor(memoryAlignmentBytes: number, offsetAlignmentBytes: number, arenaBytes: number) {
    this.#memoryAlignmentBytes = memoryAlignmentBytes;
    this.#offsetAlignmentBytes = offsetAlignmentBytes;
    this.#arenaBytes = arenaBytes;
  }

  /** Position and size of a write from any memory. @returns The size. */
  checkWrite(position: number, data: Uint8Array | IOBuf): number {
    const length = data instanceof Uint8Array ? data.length : data.sizeBytes;
    this.checkPosition(position);
    this.#checkMultiple('size of the data', length, this.#offsetAlignmentBytes);
    return length;
  }

  /** Where an aligned transfer begins in the file. */
  checkPosition(position: number): void {
    checkOffset('The position', position);
    this.#checkMultiple('position', position, this.#offsetAlignmentBytes);
  }

  /** A piece of the arena that is read into or written from where it is. */
  checkMemory(memoryOffset: number, length: number): void {
    checkOffset('The memory offset', memoryOffset);
    checkOffset('The length', length);
    this.#checkMultiple('length', length, this.#offsetAlignmentBytes);
    this.#checkMultiple('memory offset', memoryOffset, this.#memoryAlignmentBytes);
    if (memoryOffset + length > this.#arenaBytes) {
      throw rangeError('The end of the memory', memoryOffset + length, 'an offset inside of the arena');
    }
  }

  #checkMultiple(what: string, value: number, alignmentBytes: number): void {
    if (value % alignmentBytes !== 0) throw unalignedError(what, value, alignmentBytes);
  }
}
