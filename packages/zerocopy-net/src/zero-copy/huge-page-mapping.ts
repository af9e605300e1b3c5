import { readFileSync } from 'node:fs';

/**
 * Whether the kernel backs the memory at an address with huge pages, or may do so.
 *
 * @param smaps - What the kernel says of this process's memory. @defaultValue read now, which takes milliseconds
 */
export function mayHaveHugePages(
  address: number,
  smaps: string = readFileSync('/proc/self/smaps', 'utf8'),
): boolean {
  let isHere = false;
  for (const line of smaps.split('\n')) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (range !== null)
      isHere = address >= Number.parseInt(range[1], 16) && address < Number.parseInt(range[2], 16);
    else if (isHere && /^(?:AnonHugePages|ShmemPmdMapped|FilePmdMapped|THPeligible): +[1-9]/.test(line))
      return true;
  }
  return false;
}
