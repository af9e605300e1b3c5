import { native } from '@sunstar/native';
import { ERRNO, systemError } from '@sunstar/runtime';
import { checkOffset } from './errors.js';

/** Takes the exclusive advisory lock of an open file (flock); false when another one has it. */
export function tryLock(fd: number, path: string): boolean {
  const result = native.tryLock(fd);
  if (result === 0) return true;
  if (result === -ERRNO.EAGAIN) return false;
  throw systemError('flock', result, path);
}

/**
 * Takes or gives up an open file description lock on a range; false when another open file has one that excludes it.
 *
 * @param type - 0 a shared one, 1 an exclusive one, 2 none.
 */
export function lockRange(
  fd: number,
  path: string,
  type: 0 | 1 | 2,
  position: number,
  length: number,
): boolean {
  checkOffset('The position', position);
  checkOffset('The length', length);
  const result = native.lockRange(fd, type, position, length);
  if (result === 0) return true;
  if (result === -ERRNO.EAGAIN || result === -ERRNO.EACCES) return false;
  throw systemError('fcntl', result, path);
}
