import { OutOfMemoryError } from '../errors.js';
import type { Account } from './account.js';

const GRANULE_BYTES = 8;
const GRANULES_PER_PAGE = 512;

/** The accounts of the memory groups, and what they have reserved. */
export class Budgets {
  readonly groups: Account[] = [];
  /** Counters of groups that were closed. */
  closedAllocations = 0;
  closedFailures = 0;
  #reservedGranules = 0;

  /** Granules that groups other than this account have reserved and not used. */
  keptFor(account: Account): number {
    if (this.#reservedGranules === 0) return 0;
    let kept = 0;
    for (const group of this.groups) if (group !== account) kept += group.unusedReservation;
    return kept;
  }

  /** The same in whole pages: as many stay free when the account allocates. */
  pagesKeptFor(account: Account): number {
    return Math.ceil(this.keptFor(account) / GRANULES_PER_PAGE);
  }

  /** Forgets the account of a group that holds nothing any more. */
  close(account: Account): void {
    this.reserve(account, 0, 0);
    this.groups.splice(this.groups.indexOf(account), 1);
    this.closedAllocations += account.allocations;
    this.closedFailures += account.failedAllocations;
  }

  /**
   * Changes what an account has reserved.
   *
   * @throws OutOfMemoryError when less than that is free.
   */
  reserve(account: Account, granules: number, freeBytes: number): void {
    const unusedBytes = Math.max(0, granules - account.usedGranules) * GRANULE_BYTES;
    const keptBytes = this.keptFor(account) * GRANULE_BYTES;
    if (granules > account.reservedGranules && keptBytes + unusedBytes > freeBytes) {
      throw new OutOfMemoryError(
        unusedBytes,
        freeBytes,
        `${granules * GRANULE_BYTES} bytes cannot be reserved for the group '${account.name}': ${freeBytes} bytes are ` +
          `free, and ${keptBytes} of them are reserved for other groups. Reserve less, or reserve at the start.`,
      );
    }
    this.#reservedGranules += granules - account.reservedGranules;
    account.reservedGranules = granules;
  }
}
