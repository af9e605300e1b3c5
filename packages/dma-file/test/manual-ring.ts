import { type Completion, heapArena, IORING_OP, ShardMemory, SunstarError } from '@sunstar/runtime';
import { FileOperations } from '../src/file-operations.js';
import type { FileReactor } from '../src/operations-target.js';
import type { RangeTarget } from '../src/range-read.js';

/** A submission that waits for the test to complete it. */
export interface Submission {
  readonly completion: Completion;
  readonly opcode: number;
  readonly address: number;
  readonly length: number;
  readonly offset: number;
  readonly opFlags: number;
  /** What it has ended with, once it has arrived. */
  result?: number;
}

function isVector({ opcode }: Submission): boolean {
  return opcode === IORING_OP.WRITEV || opcode === IORING_OP.READV;
}

/** A ring and one file behind it: reads and writes move real bytes, as many as the test says. */
export class ManualRing implements FileReactor {
  readonly memory: ShardMemory = new ShardMemory(heapArena(4 << 20));
  readonly parked: Submission[] = [];
  readonly deferred: Completion[] = [];
  file: Buffer = Buffer.alloc(0);
  /** Submissions that still fit; then the ring refuses like a full one. */
  capacity = Number.POSITIVE_INFINITY;
  deepest = 0;
  submissions = 0;
  /** How many of these the kernel knows. */
  submitted = 0;

  submit(
    completion: Completion,
    opcode: number,
    _fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags = 0,
  ): number {
    if (this.parked.length >= this.capacity) throw new SunstarError('SUNSTAR_TOO_MANY_OPERATIONS', 'full');
    this.parked.push({ completion, opcode, address, length, offset, opFlags });
    this.deepest = Math.max(this.deepest, this.parked.length);
    return this.submissions++;
  }

  submitNow(atLeast = 1): void {
    if (this.submissions - this.submitted >= atLeast) this.submitted = this.submissions;
  }

  defer(task: Completion): void {
    this.deferred.push(task);
  }

  /** Runs what was deferred. */
  tick(): void {
    for (const task of this.deferred.splice(0)) task.complete(0, 0);
  }

  /** How many bytes the submission asks for. */
  sizeOf(submission: Submission): number {
    if (!isVector(submission)) return submission.length;
    return this.#pieces(submission).reduce((sum, [, length]) => sum + length, 0);
  }

  /** Completes one with an error number, or by moving up to `limit` bytes. */
  complete(index: number, error: number, limit: number): void {
    const [submission] = this.parked.splice(index, 1);
    const result = submission.result ?? (error < 0 ? error : this.#move(submission, limit));
    submission.completion.complete(result, 0);
  }

  /** Has the result of one arrive, like {@link complete}, which is still to come. */
  arrive(index: number, error: number, limit: number): void {
    const submission = this.parked[index];
    if (submission.result !== undefined) return;
    submission.result = error < 0 ? error : this.#move(submission, limit);
    submission.completion.arrived?.(submission.result, 0);
  }

  #move(submission: Submission, limit: number): number {
    if (submission.opcode === IORING_OP.READ || submission.opcode === IORING_OP.READV) {
      let read = 0;
      for (const [address, length] of this.#pieces(submission)) {
        const from = submission.offset + read;
        const count = Math.max(0, Math.min(length, limit - read, this.file.length - from));
        const to = address - this.memory.arena.address;
        if (count > 0) this.file.copy(this.memory.bytes, to, from, from + count);
        read += count;
      }
      return read;
    }
    if (submission.opcode !== IORING_OP.WRITE && submission.opcode !== IORING_OP.WRITEV) return 0;
    let moved = 0;
    for (const [address, length] of this.#pieces(submission)) {
      const count = Math.min(length, limit - moved);
      const end = submission.offset + moved + count;
      if (end > this.file.length)
        this.file = Buffer.concat([this.file, Buffer.alloc(end - this.file.length)]);
      const from = address - this.memory.arena.address;
      this.memory.bytes.copy(this.file, submission.offset + moved, from, from + count);
      moved += count;
    }
    return moved;
  }

  #pieces(submission: Submission): [address: number, length: number][] {
    if (!isVector(submission)) return [[submission.address, submission.length]];
    const { view, address } = this.memory.arena;
    return Array.from({ length: submission.length }, (_, i) => {
      const at = submission.address - address + i * 16;
      return [
        view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32,
        view.getUint32(at + 8, true),
      ];
    });
  }
}

/** Where the ranges of a test go to: a file on a manual ring, with sectors of so many bytes. */
export function manualRange(depth: number, sectorBytes = 512): { ring: ManualRing; target: RangeTarget } {
  const ring = new ManualRing();
  const operations = new FileOperations({
    reactor: ring,
    memory: ring.memory,
    fd: 3,
    queue: null,
    alignmentBytes: sectorBytes,
    depth,
    maxQueued: 1000,
  });
  return {
    ring,
    target: {
      operations,
      memory: ring.memory,
      memoryAlignmentBytes: sectorBytes,
      offsetAlignmentBytes: sectorBytes,
      depth,
      path: 'manual',
    },
  };
}
