import { SunstarError } from '@sunstar/runtime';
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
    if (previous !== undefined && previous.nextSequence < base) break;
    // Begun for nothing: the roll failed, and the segment before it went on.
    if (previous !== undefined && previous.nextSequence > base) continue;
    const segment = await recoverSegment(storage, names, base, options);
    if (segment === null) break;
    segments.push(segment);
  }
  // Newest first: a crash in between leaves what this would find again.
  const kept = new Set(segments.map((segment) => segment.baseSequence));
  for (const base of bases.reverse()) {
    if (!kept.has(base)) await dropSegment(storage, recycler, base);
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

/** Takes a segment away, durably, its index first. After an error it can be called again. */
export async function dropSegment(
  storage: SegmentStorage,
  recycler: SegmentRecycler | null,
  baseSequence: number,
): Promise<void> {
  await unlessMissing(storage.remove(indexName(baseSequence)));
  await storage.sync();
  const name = segmentName(baseSequence);
  await unlessMissing(recycler === null ? storage.remove(name) : recycler.retire(name));
  await storage.sync();
}

async function unlessMissing(change: Promise<void>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (!(error instanceof SunstarError && error.code === 'SUNSTAR_ENOENT')) throw error;
  }
}
