import { type Completion, IORING_OP, SunstarError, swapGroup } from '@sunstar/runtime';
import type { FileOperation } from './file-operation.js';
import type { FileReactor } from './operations-target.js';

/** Held writes are given to the kernel when they are at least this share of those that it still has. */
const SHARE_OF_THOSE_OUT = 0.5;

const lastFirst = (a: FileOperation, b: FileOperation): number => b.offset - a.offset;

/**
 * Writes behind the end of a file, given to the kernel in batches, the last first.
 *
 * A write that makes a file longer has its inode for itself, in ext4 and in XFS, so a file that is written from its
 * beginning is written one by one, however many writes are in flight. A write that fills in what another has left out does
 * not: of a batch only the first makes the file longer, and the others go to the device at the same time. So those that
 * are begun while a batch is out are held until it is down to twice as many.
 *
 * It guesses: where the end is, is known from when the file was opened and from what went through this descriptor since. A
 * wrong guess costs time and nothing else, for nothing is ever held while nothing is out.
 */
export class GrowingWrites implements Completion {
  readonly #reactor: Pick<FileReactor, 'defer'>;
  readonly #submit: (operation: FileOperation) => void;
  #endBytes: number;
  /** Two lists that change places. */
  #held: FileOperation[] = [];
  #batch: FileOperation[] = [];
  /** Those that the kernel has. */
  #out = 0;
  #isDeferred = false;

  /**
   * @param endBytes - Where the file ends; infinity where its writes are not to be held.
   * @param submit - Gives one to the kernel; it must not throw.
   */
  constructor(
    reactor: Pick<FileReactor, 'defer'>,
    endBytes: number,
    submit: (operation: FileOperation) => void,
  ) {
    this.#reactor = reactor;
    this.#endBytes = endBytes;
    this.#submit = submit;
  }

  /** Takes an operation that is about to be given to the kernel, if it makes the file longer. */
  takes(operation: FileOperation): boolean {
    if (operation.offset - operation.done + operation.total <= this.#endBytes) return false;
    const { opcode } = operation;
    // Once taken it is not held again: for what is left of it, or another try.
    if (operation.isGrowing || (opcode !== IORING_OP.WRITE && opcode !== IORING_OP.WRITEV)) return false;
    // Those that must be durable are waited for one by one.
    if (operation.opFlags !== 0) return false;
    operation.isGrowing = true;
    this.#held.push(operation);
    this.#deferStep();
    return true;
  }

  /** An operation that it took is over, or was not made. */
  ended(operation: FileOperation): void {
    operation.isGrowing = false;
    this.#out--;
    if (this.#held.length > 0) this.#deferStep();
  }

  /** An operation of the file has succeeded, with so many bytes if it was a transfer: the end may be elsewhere now. */
  succeeded(operation: FileOperation, moved: number): void {
    const { opcode, offset } = operation;
    if (operation.isGrowing) this.#endBytes = Math.max(this.#endBytes, offset - operation.done + moved);
    else if (opcode === IORING_OP.FTRUNCATE) {
      if (this.#endBytes !== Number.POSITIVE_INFINITY) this.#endBytes = offset;
    } else if (opcode === IORING_OP.FALLOCATE && operation.length === 0) {
      // Its length; other modes than 0 keep the size.
      this.#endBytes = Math.max(this.#endBytes, offset + operation.address);
    }
  }

  /** The deferred step. */
  complete(): void {
    this.#isDeferred = false;
    const batch = this.#held;
    if (batch.length < this.#out * SHARE_OF_THOSE_OUT) return;
    this.#held = this.#batch;
    this.#batch = batch;
    this.#out += batch.length;
    batch.sort(lastFirst);
    for (const operation of batch) {
      // What the ring is given belongs to the group that wrote.
      const before = swapGroup(operation.groupId);
      this.#submit(operation);
      swapGroup(before);
    }
    batch.length = 0;
  }

  #deferStep(): void {
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#reactor.defer(this);
  }

  /** Throws when the parts contradict each other. @param inFlight - Operations of the file that are in flight. */
  invariants(inFlight: number): void {
    const isStuck = this.#held.length > 0 && this.#out === 0 && !this.#isDeferred;
    if (this.#out < 0 || this.#out + this.#held.length > inFlight || isStuck) {
      throw new SunstarError(
        'SUNSTAR_INVARIANT',
        `GrowingWrites: ${this.#held.length} held and ${this.#out} out, of ${inFlight}.`,
      );
    }
  }
}
