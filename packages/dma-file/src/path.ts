import type { ShardMemory } from '@sunstar/runtime';
import { invalidPathError } from './errors.js';

/** PATH_MAX, with the NUL byte. */
const MAX_PATH_BYTES = 4096;

/** Checks a path before anything is allocated for it. Throws SUNSTAR_INVALID_PATH. */
export function checkPath(path: string): void {
  if (typeof path !== 'string' || path.length === 0) throw invalidPathError('is empty or no string');
  if (path.includes('\0')) throw invalidPathError('has a NUL byte in it');
  const length = Buffer.byteLength(path) + 1;
  if (length > MAX_PATH_BYTES) throw invalidPathError(`has ${length} bytes, more than ${MAX_PATH_BYTES}`);
}

/** Writes a path, NUL-terminated, into memory of its own; the caller frees the offset. */
export function writePath(memory: ShardMemory, path: string): number {
  checkPath(path);
  const length = Buffer.byteLength(path);
  const offset = memory.allocate(length + 1);
  memory.bytes.write(path, offset, length, 'utf8');
  memory.bytes[offset + length] = 0;
  return offset;
}
