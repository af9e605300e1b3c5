import { alignDown } from '../alignment.js';
import { rangeError } from '../errors.js';
import { operate } from '../operate.js';
import type { AppendTarget } from './append-target.js';
import type { Chunk, ChunkCache } from './chunk-cache.js';

/**
 * Reads the page that a file position lies in to the start of a chunk; null at a page boundary. The pin of the
 * chunk is the caller's.
 */
export async function loadPartialPage(
  target: AppendTarget,
  pool: ChunkCache,
  position: number,
): Promise<Chunk | null> {
  const { pageBytes, path } = target;
  const partial = position % pageBytes;
  if (partial === 0) return null;
  const chunk = pool.acquire();
  try {
    const from = alignDown(position, pageBytes);
    const read = await operate('read', path, (done) =>
      target.submitRead(done, from, chunk.memoryOffset, pageBytes),
    );
    if (read < partial) throw rangeError('The file size', from + read, `at least ${position} bytes`);
    return chunk;
  } catch (error) {
    pool.unpin(chunk);
    throw error;
  }
}
