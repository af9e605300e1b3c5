import type { ShardMemory } from '@sunstar/runtime';
import { alignUp } from './alignment.js';
import { unalignedError } from './errors.js';

const PIECE_BYTES = 128 * 1024;
/** Pieces that are on their way at the same time. */
const PIECES = 8;

/** The part of a file that copying uses. */
interface CopyFile {
  readonly memory: ShardMemory;
  readonly memoryAlignmentBytes: number;
  readonly offsetAlignmentBytes: number;
  readInto(position: number, memoryOffset: number, length: number): Promise<number>;
  writeAligned(position: number, memoryOffset: number, length: number): Promise<number>;
}

/**
 * Copies a range between files. The ring has no copy_file_range, which would block: the bytes go through the shard's
 * memory, in pieces of 128 KiB, several at a time.
 */
export async function copyRange(
  source: CopyFile,
  target: CopyFile,
  sourcePosition: number,
  position: number,
  length: number,
): Promise<number> {
  const alignmentBytes = Math.max(source.offsetAlignmentBytes, target.offsetAlignmentBytes);
  for (const [what, value] of [
    ['source position', sourcePosition],
    ['position', position],
    ['length', length],
  ] as const) {
    if (value % alignmentBytes !== 0) throw unalignedError(what, value, alignmentBytes);
  }
  let next = 0;
  let end = length;
  const worker = async (): Promise<void> => {
    const { memory } = target;
    const pageBytes = Math.max(source.memoryAlignmentBytes, target.memoryAlignmentBytes);
    const block = memory.allocateAligned(PIECE_BYTES, pageBytes);
    try {
      while (next < end) {
        const at = next;
        const wanted = Math.min(PIECE_BYTES, length - at);
        next += wanted;
        const read = await source.readInto(sourcePosition + at, block, wanted);
        if (read < wanted) end = Math.min(end, at + read);
        if (read === 0) return;
        const padded = alignUp(read, alignmentBytes);
        memory.bytes.fill(0, block + read, block + padded);
        await target.writeAligned(position + at, block, padded);
      }
    } catch (error) {
      // The others begin nothing new.
      end = 0;
      throw error;
    } finally {
      memory.free(block);
    }
  };
  const count = Math.min(PIECES, Math.ceil(length / PIECE_BYTES));
  const results = await Promise.allSettled(Array.from({ length: count }, worker));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return end;
}
