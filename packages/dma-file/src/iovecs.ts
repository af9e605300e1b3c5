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

/**
 * Takes `count` bytes off the front of a list at an absolute address.
 *
 * @returns How many entries are used up; the one behind them may have been shortened.
 */
export function advanceIovecs(memory: ShardMemory, listAddress: number, count: number): number {
  const { view, address: base } = memory.arena;
  let left = count;
  let used = 0;
  while (left > 0) {
    const at = listAddress - base + used * IOVEC_SIZE_BYTES;
    const length = view.getUint32(at + 8, true);
    if (left < length) {
      const address = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32 + left;
      view.setUint32(at, address >>> 0, true);
      view.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
      view.setUint32(at + 8, length - left, true);
      return used;
    }
    left -= length;
    used++;
  }
  return used;
}
