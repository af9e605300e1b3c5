import { IOVEC_SIZE_BYTES } from '@sunstar/iobuf';
import type { ShardMemory } from '@sunstar/runtime';

/** Writes a scatter list of pieces of the arena to an offset of the arena, for a vectored read or write. */
export function writeIovecs(
  memory: ShardMemory,
  at: number,
  offsets: readonly number[],
  lengths: readonly number[],
): void {
  const { view, address } = memory.arena;
  for (let i = 0; i < offsets.length; i++) {
    const base = address + offsets[i];
    const entry = at + i * IOVEC_SIZE_BYTES;
    view.setUint32(entry, base >>> 0, true);
    view.setUint32(entry + 4, Math.floor(base / 2 ** 32), true);
    view.setUint32(entry + 8, lengths[i], true);
    view.setUint32(entry + 12, 0, true);
  }
}
