import { SunstarError } from '../errors.js';

/** Throws SUNSTAR_INVARIANT unless `condition` holds; `at` is the page, class or granule concerned. */
export function invariant(condition: boolean, what: string, at?: number): asserts condition {
  if (condition) return;
  const where = at === undefined ? '' : ` (at ${at})`;
  throw new SunstarError(
    'SUNSTAR_INVARIANT',
    `The allocator contradicts itself: ${what}${where}. Please report this.`,
  );
}
