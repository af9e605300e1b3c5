import { DEFAULT_GROUP_ID } from '../scheduling/current-group.js';
import { MAX_GROUPS } from '../scheduling/groups.js';

/** A counter for each scheduling group but the default one, whose part is what the others leave of a total. */
export class GroupCounts {
  // Not a Float64Array, whose elements V8 makes objects of.
  readonly #counts: number[] = new Array<number>(MAX_GROUPS).fill(0);

  /** @param groupId - Not the default one's. */
  add(groupId: number, count: number): void {
    this.#counts[groupId] += count;
  }

  /** @param total - Of all groups. */
  of(groupId: number, total: number): number {
    if (groupId !== DEFAULT_GROUP_ID) return this.#counts[groupId];
    return this.#counts.reduce((left, count) => left - count, total);
  }
}
