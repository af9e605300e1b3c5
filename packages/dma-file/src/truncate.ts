import { native } from '@sunstar/native';
import { type Completion, IORING_OP, type Reactor } from '@sunstar/runtime';
import type { FileOperations } from './file-operations.js';

/** Which reactors have IORING_OP_FTRUNCATE (Linux 6.9). */
const supported = new WeakMap<Reactor, boolean>();

function isSupported(reactor: Reactor): boolean {
  let answer = supported.get(reactor);
  if (answer === undefined) {
    const operations = reactor.ring.probe();
    answer = typeof operations !== 'number' && operations[IORING_OP.FTRUNCATE] === 1;
    supported.set(reactor, answer);
  }
  return answer;
}

/** Truncates through the ring; on kernels that cannot, with a system call, behind which a no-op completes. */
export function truncateByRing(
  reactor: Reactor,
  operations: FileOperations,
  fd: number,
  completion: Completion,
  sizeBytes: number,
): void {
  if (operations.isClosed || isSupported(reactor)) {
    operations.submit(completion, IORING_OP.FTRUNCATE, 0, 0, sizeBytes);
    return;
  }
  const result = native.truncate(fd, sizeBytes);
  operations.submit(
    { complete: (status) => completion.complete(status < 0 ? status : result, 0) },
    IORING_OP.NOP,
    0,
    0,
    0,
  );
}
