import type { ResolvedLogOptions } from './log-options.js';
import { recoverSegment, type Segment } from './segment.js';
import { baseSequences, indexName, segmentName, TEMPORARY_INDEX } from './segment-names.js';
import type { SegmentRecycler } from './segment-recycler.js';
import type { SegmentStorage } from './segment-storage.js';

/**
 * Finds the segments of a log that belong together, oldest first, and takes away what follows them: after a power
 * cut the last batches may be torn, and what is behind a torn batch was never flushed. When this resolves, what was
 * taken away stays away, and the newest segment counts as not complete.
 */
export async function recoverLog(
  storage: SegmentStorage,
  recycler: SegmentRecycler,
  options: ResolvedLogOptions,
): Promise<Segment[]> {
  const names = new Set(await storage.list());
  if (names.has(TEMPORARY_INDEX)) await storage.remove(TEMPORARY_INDEX);
  const bases = baseSequences([...names]);
  const segments: Segment[] = [];
  for (const base of bases) {
    const previous = segments[segments.length - 1];
    if (previous !== undefined && previous.nextSequence !== base) break;
    const segment = await recoverSegment(storage, names, base, options);
    if (segment === null) break;
    segments.push(segment);
  }
  // Newest first: a crash in between leaves what this would find again.
  for (let i = bases.length - 1; i >= segments.length; i--) {
    await dropSegment(storage, recycler, names.has(indexName(bases[i])), bases[i]);
  }
  const last = segments[segments.length - 1];
  // Its index said that it was complete, which ends now.
  if (last !== undefined && names.has(indexName(last.baseSequence))) {
    await storage.remove(indexName(last.baseSequence));
    last.hasIndex = false;
  }
  await storage.sync();
  return segments;
}

/** Takes a segment away, durably, its index first. */
export async function dropSegment(
  storage: SegmentStorage,
  recycler: SegmentRecycler | null,
  hasIndex: boolean,
  baseSequence: number,
): Promise<void> {
  if (hasIndex) await storage.remove(indexName(baseSequence));
  await storage.sync();
  if (recycler === null) await storage.remove(segmentName(baseSequence));
  else await recycler.retire(segmentName(baseSequence));
  await storage.sync();
}
