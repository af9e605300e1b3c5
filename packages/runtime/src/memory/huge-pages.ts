import { readFileSync } from 'node:fs';
import { native } from '@sunstar/native';
import { SunstarError, systemError } from '../errors.js';
import type { Arena } from './arena.js';

/**
 * Whether the kernel backs an arena with transparent huge pages of 2 MiB: fewer translations to look up when accesses
 * are scattered over much memory, and memory that is taken 2 MiB at a time.
 *
 * - `'auto'`: where the system lets programs ask for them;
 * - `'always'`: the same, and an error where it does not;
 * - `'never'`: not even where the system gives them to everybody.
 */
export type HugePages = 'auto' | 'always' | 'never';

const POLICY_FILE = '/sys/kernel/mm/transparent_hugepage/enabled';

/** @throws SunstarError SUNSTAR_INVALID_OPTION */
export function checkHugePages(value: unknown): HugePages {
  if (value === 'auto' || value === 'always' || value === 'never') return value;
  throw new SunstarError(
    'SUNSTAR_INVALID_OPTION',
    `\`hugePages\` is 'auto', 'always' or 'never', not ${String(value)}.`,
  );
}

/** What the system does about huge pages; null when the kernel has none. */
export function systemPolicy(file: string = POLICY_FILE): 'always' | 'madvise' | 'never' | null {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch {
    // The kernel was built without them, or /sys is not mounted: nobody can tell, so nobody gets them.
    return null;
  }
  const chosen = /\[(always|madvise|never)\]/.exec(text)?.[1];
  return chosen === undefined ? null : (chosen as 'always' | 'madvise' | 'never');
}

/**
 * Tells the kernel how to back an arena, as far as it is not backed yet.
 *
 * @throws SunstarError SUNSTAR_INVALID_OPTION; SUNSTAR_HUGE_PAGES_UNAVAILABLE with `'always'` where the system forbids them.
 */
export function adviseHugePages(arena: Arena, wanted: HugePages, policyFile: string = POLICY_FILE): void {
  checkHugePages(wanted);
  const policy = systemPolicy(policyFile);
  if (wanted === 'never') {
    if (policy === 'always') advise(arena, false);
  } else if (policy === 'always' || policy === 'madvise') {
    advise(arena, true);
  } else if (wanted === 'always') {
    throw new SunstarError(
      'SUNSTAR_HUGE_PAGES_UNAVAILABLE',
      `The system gives no huge pages (${policyFile}: ${policy ?? 'absent'}). Write 'madvise' there, or use hugePages: 'auto'.`,
    );
  }
}

function advise(arena: Arena, wanted: boolean): void {
  const result = native.adviseHugePages(arena.bytes, wanted);
  if (result < 0) throw systemError('madvise', result, wanted ? 'MADV_HUGEPAGE' : 'MADV_NOHUGEPAGE');
}
