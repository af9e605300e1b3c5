import type { IOBuf } from '@sunstar/iobuf';

/** The front of an output that leaves with one send. */
export interface SendRun {
  /** Fragments. */
  count: number;
  sizeBytes: number;
  /** It is worth a zero-copy send: most of it is in fragments of at least the threshold. */
  isLarge: boolean;
}

/**
 * Cuts the front of `content` into what is best copied, or best not. Small pieces beside a large one go along with
 * it (a header and its payload leave in one send) as long as there are at most half a threshold of them for each
 * large one.
 *
 * @param run - Where the result is written; nothing is allocated.
 */
export function measureRun(content: IOBuf, thresholdBytes: number, maxCount: number, run: SendRun): void {
  const allowance = thresholdBytes / 2;
  const end = Math.min(content.fragmentCount, maxCount);
  let smallBytes = 0;
  let largeCount = 0;
  let sizeBytes = 0;
  let index = 0;
  for (; index < end; index++) {
    const length = content.fragmentLength(index);
    if (length >= thresholdBytes) {
      if (largeCount === 0 && smallBytes > allowance) break;
      largeCount++;
    } else {
      if (largeCount > 0 && smallBytes + length > allowance * largeCount) break;
      smallBytes += length;
    }
    sizeBytes += length;
  }
  run.count = index;
  run.sizeBytes = sizeBytes;
  run.isLarge = largeCount > 0;
}

/** Drops fragments from the end of a run until it has at most so many bytes; to none, if the first is larger. */
export function shortenRun(content: IOBuf, maxBytes: number, run: SendRun): void {
  while (run.count > 0 && run.sizeBytes > maxBytes) {
    run.count--;
    run.sizeBytes -= content.fragmentLength(run.count);
  }
}
