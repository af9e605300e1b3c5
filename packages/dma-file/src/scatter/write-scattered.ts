import { FRAGMENT_SIZE_BYTES_MAX, type IOBuf } from '@sunstar/iobuf';
import { invalidOptionError } from '../errors.js';
import type { RangeTarget } from '../range-read.js';
import { writeRange } from '../range-write.js';
import { ScatterBatch, type ScatterOptions } from './scatter-batch.js';

const PAGE_BYTES = 4096;

/** Starts a batch; position and size are aligned. The bytes must not change until it is done. */
export function writeScattered(
  target: RangeTarget,
  position: number,
  data: Uint8Array | IOBuf,
  options: ScatterOptions,
): ScatterBatch {
  const { offsetAlignmentBytes, path } = target;
  const pageBytes = options.pageBytes ?? Math.max(PAGE_BYTES, offsetAlignmentBytes);
  checkMultiple('pageBytes', pageBytes, offsetAlignmentBytes);
  const most = FRAGMENT_SIZE_BYTES_MAX - (FRAGMENT_SIZE_BYTES_MAX % pageBytes);
  const mergeBytes = options.mergeBytes ?? most;
  checkMultiple('mergeBytes', mergeBytes, pageBytes);
  const sizeBytes = data instanceof Uint8Array ? data.length : data.sizeBytes;
  return new ScatterBatch(path, sizeBytes, pageBytes, (observer) => {
    if (sizeBytes === 0) return Promise.resolve(0);
    const { signal } = options;
    return writeRange(target, position, data, {
      maxWriteBytes: mergeBytes,
      observer,
      ...(signal === undefined ? {} : { signal }),
    });
  });
}

function checkMultiple(name: string, value: number, unit: number): void {
  if (Number.isInteger(value) && value > 0 && value % unit === 0 && value <= FRAGMENT_SIZE_BYTES_MAX) return;
  throw invalidOptionError(name, value, `a multiple of ${unit} up to ${FRAGMENT_SIZE_BYTES_MAX}`);
}
