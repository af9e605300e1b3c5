import v8 from 'node:v8';
import vm from 'node:vm';
import { median } from './statistics.js';

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

/** What cannot be told from nothing. */
const FLOOR_BYTES = 0.1;
const CALLS = 31;
/** A collection takes optimised code with it, and what runs in its place for a while allocates more. */
const WARM_UP_MS = 100;

function allocatedBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** The median growth of a call. A call in which the collector runs is an outlier, so the median leaves it out. */
function growthBytes(body: () => void): number {
  collect();
  for (const end = performance.now() + WARM_UP_MS; performance.now() < end; ) body();
  const growth: number[] = [];
  for (let call = 0; call < CALLS; call++) {
    const before = allocatedBytes();
    body();
    growth.push(allocatedBytes() - before);
  }
  return median(growth);
}

/**
 * Bytes that one operation leaves to the garbage collector: objects, and memory behind ArrayBuffers. At least 0.1.
 *
 * @param operations - How many operations one call of `body` does. The body must be warm, end as it began, and leave
 * much less than the size of the young generation.
 */
export function garbageBytesPerOperation(operations: number, body: () => void): number {
  // Asking allocates, too.
  const own = growthBytes(() => undefined);
  return Math.max(FLOOR_BYTES, (growthBytes(body) - own) / operations);
}
