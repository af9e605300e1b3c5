import { SunstarError } from '../errors.js';

/** The largest CPU number that a list may have; Linux supports 8192 CPUs. */
export const MAX_CPU = 8191;

/**
 * The numbers of a list as the kernel writes it, for example `0-3,8,10-11`; rising, each once.
 *
 * @throws SunstarError SUNSTAR_INVALID_CPU_LIST
 */
export function parseCpuList(text: string): number[] {
  const cpus = new Set<number>();
  for (const part of text.trim() === '' ? [] : text.split(',')) {
    const match = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part);
    const first = Number(match?.[1] ?? Number.NaN);
    const last = match?.[2] === undefined ? first : Number(match[2]);
    if (!(first <= last && last <= MAX_CPU)) {
      throw new SunstarError(
        'SUNSTAR_INVALID_CPU_LIST',
        `'${text}' is no list of CPUs. Give numbers from 0 to ${MAX_CPU} and ranges of them: \`0-3,8\`.`,
      );
    }
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

/** The opposite of {@link parseCpuList}. */
export function formatCpuList(cpus: Iterable<number>): string {
  const sorted = [...new Set(cpus)].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let index = 0; index < sorted.length; ) {
    const first = index;
    while (index + 1 < sorted.length && sorted[index + 1] === sorted[index] + 1) index++;
    parts.push(index === first ? `${sorted[first]}` : `${sorted[first]}-${sorted[index]}`);
    index++;
  }
  return parts.join(',');
}
