import { IOVEC_SIZE_BYTES, IOVECS_MAX } from '@sunstar/iobuf';
import { type Completion, IORING_OP } from '@sunstar/runtime';
import { rangeError } from './errors.js';
import type { Ticket } from './file-operations.js';
import { writeIovecs } from './iovecs.js';
import { operate, operateWithSignal } from './operate.js';
import type { RangeTarget } from './range-read.js';
import type { TransferChecks } from './transfer-checks.js';

/** A piece of the shard's arena. */
export interface MemoryPiece {
  readonly memoryOffset: number;
  readonly length: number;
}

/** Checks pieces of memory for one vectored transfer. @returns Their bytes in all. */
export function checkPieces(
  checks: TransferChecks,
  position: number,
  pieces: readonly MemoryPiece[],
): number {
  checks.checkPosition(position);
  if (pieces.length > IOVECS_MAX) {
    throw rangeError('The number of pieces', pieces.length, `at most ${IOVECS_MAX}`);
  }
  let total = 0;
  for (const { memoryOffset, length } of pieces) {
    checks.checkMemory(memoryOffset, length);
    total += length;
  }
  return total;
}

/** One read or write between consecutive bytes of the file and pieces of memory, which were checked; `total` > 0. */
export async function moveVector(
  target: RangeTarget,
  isWrite: boolean,
  position: number,
  pieces: readonly MemoryPiece[],
  total: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { memory, operations, path } = target;
  // The kernel reads the list when it takes the operation, and again when a short one is continued.
  const iovecs = memory.allocate(pieces.length * IOVEC_SIZE_BYTES);
  try {
    writeIovecs(
      memory,
      iovecs,
      pieces.map(({ memoryOffset }) => memoryOffset),
      pieces.map(({ length }) => length),
    );
    const syscall = isWrite ? 'writev' : 'readv';
    const opcode = isWrite ? IORING_OP.WRITEV : IORING_OP.READV;
    const submit = (done: Completion): Ticket | null =>
      operations.transferVector(done, opcode, position, iovecs, pieces.length, total);
    return await (signal === undefined
      ? operate(syscall, path, submit)
      : operateWithSignal(syscall, path, operations, signal, submit));
  } finally {
    memory.free(iovecs);
  }
}
