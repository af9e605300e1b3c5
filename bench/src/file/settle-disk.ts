import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Has the disk write what others have left in the page cache, so that the first to be measured do not wait for it. */
export async function settleDisk(): Promise<void> {
  await promisify(execFile)('sync');
}
